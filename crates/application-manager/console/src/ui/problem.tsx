import { Alert } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { problemOf } from '@/api/problem';

/** What went wrong with a change; nothing when nothing did. */
export function ProblemNote({ error }: { error: unknown }) {
  if (error === null || error === undefined) return null;
  const problem = problemOf(error);
  return (
    <Alert color="red" variant="light" icon={<IconAlertTriangle size={18} aria-hidden />} role="alert" styles={{ message: { color: 'var(--ink)' } }}>
      {problem.misfits.length === 0
        ? problem.detail
        : problem.misfits.map((misfit) => (
            <div key={misfit.path + misfit.found}>
              {misfit.path !== '' && <strong>{misfit.path}: </strong>}
              found {misfit.found}; allowed: {misfit.allowed}
            </div>
          ))}
    </Alert>
  );
}

import { Alert } from '@mantine/core';
import { IconAlertTriangle, IconHourglass, IconInfoCircle } from '@tabler/icons-react';
import type { Instance } from '@/api/types';
import { useSlotTitles } from '@/features/applications/data';
import { useNow } from '@/ui/clock';
import { distance, many, words } from '@/ui/format';
import { reason } from './data';

/** Says why an instance is in a state that is not simply good, and what happens next. */
export function StateNote({ instance }: { instance: Instance }) {
  const now = useNow();
  const titles = useSlotTitles(instance.application);
  const why = reason(instance);
  if (why === undefined) return null;
  const text = { message: { color: 'var(--ink)' } };
  if (instance.state === 'waiting') {
    return (
      <Alert color="yellow" variant="light" icon={<IconHourglass size={18} aria-hidden />} title="It waits" styles={{ ...text, title: { color: 'var(--warn)' } }}>
        {instance.missing.length === 0 ? (
          why
        ) : (
          <>
            {instance.missing.map((missing) => (
              <div key={missing.slot}>
                <strong>{titles[missing.slot] ?? words(missing.slot)}</strong> needs {many(missing.need, `${words(missing.type).toLowerCase()} ${missing.kind}`)}, {missing.place} has {missing.have === 0 ? 'none' : String(missing.have)}.
              </div>
            ))}
            <div className="soft">It starts by itself as soon as what is missing is registered there.</div>
          </>
        )}
      </Alert>
    );
  }
  if (instance.state === 'failing' || instance.state === 'failed') {
    const next = instance.state === 'failing' && instance.next_try ? ` It is tried again ${distance(Date.parse(instance.next_try), now)}.` : '';
    return (
      <Alert color="red" variant="light" icon={<IconAlertTriangle size={18} aria-hidden />} title={instance.state === 'failing' ? 'It keeps ending' : 'It ended in error'} styles={{ ...text, title: { color: 'var(--bad)' } }}>
        {why}.{next}
      </Alert>
    );
  }
  return (
    <Alert color="gray" variant="light" icon={<IconInfoCircle size={18} aria-hidden />} styles={text}>
      {why}
    </Alert>
  );
}

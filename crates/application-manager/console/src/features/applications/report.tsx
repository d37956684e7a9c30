import { problemOf } from '@/api/problem';
import { IconAlertTriangle } from '@tabler/icons-react';
import classes from './report.module.css';

/** Everything that is wrong with a bundle: where, what was found, what is allowed. */
export function Report({ file, error }: { file: string; error: unknown }) {
  const problem = problemOf(error);
  return (
    <section className={classes.report} role="alert" aria-label="validation report">
      <h2 className={classes.title}>
        <IconAlertTriangle size={18} aria-hidden />
        {file} was not accepted
      </h2>
      {problem.misfits.length === 0 ? (
        <p className={classes.text}>{problem.detail}</p>
      ) : (
        <ol className={classes.list}>
          {problem.misfits.map((misfit) => (
            <li key={misfit.path + misfit.found}>
              <code className={classes.path}>{misfit.path === '' ? 'bundle' : misfit.path}</code>
              <dl>
                <dt>found</dt>
                <dd>{misfit.found}</dd>
                <dt>allowed</dt>
                <dd>{misfit.allowed}</dd>
              </dl>
            </li>
          ))}
        </ol>
      )}
      <p className={classes.text}>Nothing was kept of it.</p>
    </section>
  );
}

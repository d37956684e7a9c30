import { Button } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { applicationListOptions } from '@/features/applications/data';
import { ApplicationSign } from '@/features/applications/sign';
import { has, useMe } from '@/features/session/session';
import { Panel } from '@/ui/panel';
import classes from './ready.module.css';

const SHOWN = 4;

/** Applications that can be run, one click away. */
export function Ready() {
  const me = useMe();
  const applications = useInfiniteQuery(applicationListOptions);
  const ready = (applications.data ?? []).filter((application) => application.ready !== null && application.ready !== undefined);
  if (ready.length === 0) return null;
  return (
    <Panel title="Applications" flush>
      <ul className={classes.list}>
        {ready.slice(0, SHOWN).map(({ id, name, title, owner }) => (
          <li key={id} className={classes.entry}>
            <ApplicationSign name={name} title={title} />
            <div className={classes.words}>
              <Link to="/applications/$name" params={{ name }} className={classes.name}>
                {title}
              </Link>
              <span className="soft small">by {owner.title}</span>
            </div>
            {has(me, 'end_user') && (
              <Button component={Link} to="/applications/$name/run" params={{ name } as never} size="compact-sm" variant="light" aria-label={`run ${title}`}>
                Run
              </Button>
            )}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

import { Button } from '@mantine/core';
import { IconApps, IconUpload } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { Application } from '@/api/types';
import { has, useMe } from '@/features/session/session';
import { Empty, Outcome } from '@/ui/outcome';
import { Page } from '@/ui/page';
import { Panel } from '@/ui/panel';
import { State } from '@/ui/state';
import { ApplicationSign } from './sign';
import { applicationListOptions, leading, VERSION_STATES } from './data';
import classes from './list.module.css';

export function ApplicationsPage() {
  const me = useMe();
  const applications = useInfiniteQuery(applicationListOptions);
  const develops = has(me, 'developer');
  const upload = develops && (
    <Button component={Link} to="/applications/upload" leftSection={<IconUpload size={16} aria-hidden />}>
      Upload
    </Button>
  );
  return (
    <Page title="Applications" lead="Pick one, a place and a time: it finds the sensors and devices there by itself." actions={upload}>
      <Outcome of={applications} framed>
        {(list) =>
          list.length === 0 ? (
            <Panel>
              <Empty icon={IconApps} title="No applications yet" action={upload}>
                {develops
                  ? 'An application is a zip with a manifest (app.json) that names the types of sensors and devices it needs, and the program.'
                  : 'As soon as a developer uploads one and lists it for you, it appears here.'}
              </Empty>
            </Panel>
          ) : (
            <ul className={classes.cards}>
              {list.map((application) => (
                <Card key={application.id} application={application} />
              ))}
            </ul>
          )
        }
      </Outcome>
      {applications.hasNextPage && (
        <Button variant="subtle" onClick={() => void applications.fetchNextPage()} loading={applications.isFetchingNextPage}>
          Show more
        </Button>
      )}
    </Page>
  );
}

function Card({ application }: { application: Application }) {
  const me = useMe();
  const version = leading(application);
  const newest = application.versions[0];
  const pending = newest !== undefined && newest.state !== 'ready' ? newest : undefined;
  return (
    <li className={classes.card}>
      <div className={classes.top}>
        <ApplicationSign name={application.name} title={application.title} />
        <div className={classes.words}>
          <Link to="/applications/$name" params={{ name: application.name }} className={classes.name}>
            {application.title}
          </Link>
          <span className="soft small">
            {version && `${version.number} · `}by {application.owner.title}
          </span>
        </div>
      </div>
      <p className={classes.text}>{application.description}</p>
      <div className={classes.foot}>
        {pending ? <State mood={VERSION_STATES[pending.state].mood}>{`${pending.number}: ${VERSION_STATES[pending.state].word.toLowerCase()}`}</State> : <span />}
        {has(me, 'end_user') && application.ready !== null && application.ready !== undefined && (
          <Button component={Link} to="/applications/$name/run" params={{ name: application.name } as never} size="compact-sm" variant="light">
            Run
          </Button>
        )}
      </div>
    </li>
  );
}

import { Button } from '@mantine/core';
import { IconPlayerPlay, IconUpload } from '@tabler/icons-react';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import type { Application } from '@/api/types';
import { instanceListOptions } from '@/features/instances/data';
import { InstanceTable } from '@/features/instances/table';
import { has, useMe } from '@/features/session/session';
import { Ago } from '@/ui/moment';
import { Empty, Outcome } from '@/ui/outcome';
import { Columns, Page } from '@/ui/page';
import { PageOf } from '@/ui/page-of';
import { Facts, Panel } from '@/ui/panel';
import { applicationOptions, leading, versionOptions } from './data';
import { Listing } from './listing';
import { Needs, Settings } from './manifest';
import { Versions } from './versions';

export function ApplicationPage() {
  const { name } = useParams({ strict: false }) as { name: string };
  const application = useQuery(applicationOptions(name));
  return <PageOf of={application}>{(data) => <Shown application={data} />}</PageOf>;
}

function Shown({ application }: { application: Application }) {
  const me = useMe();
  const version = leading(application);
  const ready = application.ready !== null && application.ready !== undefined;
  return (
    <Page
      title={application.title}
      up={{ to: '/applications', label: 'Applications' }}
      lead={application.description}
      actions={
        <>
          {application.may_change && (
            <Button component={Link} to="/applications/upload" variant="default" leftSection={<IconUpload size={16} aria-hidden />}>
              Upload a version
            </Button>
          )}
          {has(me, 'end_user') && (
            <Button component={Link} to="/applications/$name/run" params={{ name: application.name } as never} disabled={!ready} leftSection={<IconPlayerPlay size={16} aria-hidden />}>
              Run
            </Button>
          )}
        </>
      }
    >
      <Panel>
        <Facts
          facts={[
            ['Version that runs', application.ready ?? 'none is ready yet'],
            ['Developer', application.owner.title],
            ['Seen by', <Listing key="listed" application={application} />],
            ['Last change', <Ago key="updated" at={application.updated} />],
            ['Name in addresses', <code key="name" className="mono">{application.name}</code>],
          ]}
        />
      </Panel>
      {version && <About name={application.name} version={version.number} />}
      <Versions application={application} />
      <Instances application={application.name} />
    </Page>
  );
}

/** What the manifest says, for those who run it. */
function About({ name, version }: { name: string; version: string }) {
  const detail = useQuery(versionOptions(name, version));
  return (
    <Outcome of={detail} framed>
      {({ manifest }) => (
        <Columns>
          <Needs manifest={manifest} />
          <Settings manifest={manifest} />
        </Columns>
      )}
    </Outcome>
  );
}

function Instances({ application }: { application: string }) {
  const instances = useInfiniteQuery(instanceListOptions({ application }));
  const more = instances.hasNextPage ? { load: () => void instances.fetchNextPage(), loading: instances.isFetchingNextPage } : undefined;
  return (
    <Panel title="Instances" flush>
      <Outcome of={instances}>
        {(rows) =>
          rows.length === 0 ? <Empty title="It has not run yet">Each run of it appears here, with its state, readings and log.</Empty> : <InstanceTable rows={rows} more={more} without="application" />
        }
      </Outcome>
    </Panel>
  );
}

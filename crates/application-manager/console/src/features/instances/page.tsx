import { Button, Tabs } from '@mantine/core';
import { IconExternalLink, IconPlayerStop } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { api, ask, change } from '@/api/client';
import type { Instance } from '@/api/types';
import { Log } from '@/features/logs/log';
import { Charts } from '@/features/readings/charts';
import { confirm, tellProblem } from '@/ui/confirm';
import { shortMoment } from '@/ui/format';
import { Lasting } from '@/ui/moment';
import { Columns, Page } from '@/ui/page';
import { PageOf } from '@/ui/page-of';
import { Facts, Panel } from '@/ui/panel';
import { Bound, boundSensors } from './binding';
import { instanceOptions, isOver } from './data';
import { InstanceCommands, InstanceNotifications } from './actions';
import { Chosen } from './parameters';
import { StateNote } from './state-note';
import { InstanceState } from './table';

export function InstancePage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const instance = useQuery(instanceOptions(id));
  return <PageOf of={instance}>{(data) => <Shown instance={data} />}</PageOf>;
}

function Shown({ instance }: { instance: Instance }) {
  const sensors = boundSensors(instance);
  return (
    <Page
      title={instance.name}
      up={{ to: '/instances', label: 'Instances' }}
      badge={<InstanceState instance={instance} />}
      lead={`${instance.application.title} ${instance.application.version} · ${instance.location.path}`}
      actions={instance.full && <Actions instance={instance} />}
    >
      <StateNote instance={instance} />
      <Panel>
        <Facts facts={facts(instance)} />
      </Panel>
      {instance.full && sensors.length > 0 && (
        <Charts
          key={sensors.join()}
          of={['instance', instance.id]}
          sensors={isOver(instance) ? [] : sensors}
          read={async (from) => {
            const { slots } = await ask(api.GET('/api/v1/instances/{id}/readings', { params: { path: { id: instance.id }, query: { from } } }));
            return Object.values(slots).flat();
          }}
          hint="As soon as one of the bound sensors sends, it is drawn here."
        />
      )}
      {instance.full && (
        <Columns>
          <Bound instance={instance} />
          <Chosen instance={instance} />
        </Columns>
      )}
      <Panel flush>
        <Tabs defaultValue="log" keepMounted={false}>
          <Tabs.List px="md">
            <Tabs.Tab value="log">Log</Tabs.Tab>
            {instance.full && <Tabs.Tab value="notifications">Notifications</Tabs.Tab>}
            {instance.full && <Tabs.Tab value="commands">Device commands</Tabs.Tab>}
          </Tabs.List>
          <Tabs.Panel value="log">
            <Log
              topic={`logs:${instance.id}`}
              read={(query) => ask(api.GET('/api/v1/instances/{id}/logs', { params: { path: { id: instance.id }, query } }))}
              file={`${instance.application.title}-${instance.due}.log`}
              hint="What the application prints appears here within a second."
            />
          </Tabs.Panel>
          <Tabs.Panel value="notifications">
            <InstanceNotifications id={instance.id} />
          </Tabs.Panel>
          <Tabs.Panel value="commands">
            <InstanceCommands id={instance.id} />
          </Tabs.Panel>
        </Tabs>
      </Panel>
    </Page>
  );
}

function facts(instance: Instance): [string, React.ReactNode][] {
  const name = instance.application.name;
  return [
    [
      'Application',
      name ? (
        <Link key="application" to="/applications/$name" params={{ name }}>
          {instance.application.title} {instance.application.version}
        </Link>
      ) : (
        `${instance.application.title} ${instance.application.version}`
      ),
    ],
    ['Location', instance.location.path],
    ['For', instance.owner.title],
    ['Due', shortMoment(instance.due)],
    ['Ran', instance.started ? <Lasting key="ran" since={instance.started} until={instance.ended} /> : 'not yet'],
    ['Restarts', String(instance.restarts)],
    ...(instance.stop_at ? [['Stops at the latest', shortMoment(instance.stop_at)] as [string, string]] : []),
    ...(instance.schedule
      ? [
          [
            'Schedule',
            <Link key="schedule" to="/schedules/$id" params={{ id: instance.schedule }}>
              {instance.name}
            </Link>,
          ] as [string, React.ReactNode],
        ]
      : []),
  ];
}

function Actions({ instance }: { instance: Instance }) {
  const client = useQueryClient();
  const path = { path: { id: instance.id } };
  const open = useMutation({
    mutationFn: async () => {
      // Opened at once, else browsers take it for an advertisement; the address follows.
      const page = window.open('about:blank', '_blank');
      try {
        const { url } = await ask(api.GET('/api/v1/instances/{id}/page', { params: path }));
        if (page) {
          page.opener = null;
          page.location.href = url;
        } else {
          location.href = url;
        }
      } catch (error) {
        page?.close();
        throw error;
      }
    },
    onError: tellProblem,
  });
  const stop = () => {
    confirm({
      title: `Stop ${instance.name}?`,
      text: 'It gets a moment to end its work. What it remembers is kept in its last checkpoint.',
      deed: 'Stop',
      act: async () => {
        await change(api.POST('/api/v1/instances/{id}/stop', { params: path }));
        await client.invalidateQueries({ queryKey: ['instances'] });
      },
    });
  };
  return (
    <>
      {instance.has_page && !isOver(instance) && (
        <Button
          leftSection={<IconExternalLink size={16} aria-hidden />}
          disabled={instance.endpoints === 0}
          loading={open.isPending}
          onClick={() => {
            open.mutate();
          }}
        >
          Open page
        </Button>
      )}
      {!isOver(instance) && (
        <Button variant="default" leftSection={<IconPlayerStop size={16} aria-hidden />} disabled={instance.state === 'stopping'} onClick={stop}>
          Stop
        </Button>
      )}
    </>
  );
}

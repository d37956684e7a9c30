import { Button } from '@mantine/core';
import { IconPlayerPause, IconPlayerPlay, IconTrash } from '@tabler/icons-react';
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { api, change } from '@/api/client';
import type { Schedule } from '@/api/types';
import { versionOptions } from '@/features/applications/data';
import { instanceListOptions } from '@/features/instances/data';
import { InstanceTable } from '@/features/instances/table';
import { confirm, tellProblem } from '@/ui/confirm';
import { count, duration, shortMoment, valueWithUnit, words } from '@/ui/format';
import { Empty, Outcome } from '@/ui/outcome';
import { Columns, Page } from '@/ui/page';
import { PageOf } from '@/ui/page-of';
import { Facts, Panel } from '@/ui/panel';
import { State } from '@/ui/state';
import { Table } from '@/ui/table';
import { MISSED_WORDS, OVERLAP_WORDS, scheduleOptions, STATUSES } from './data';
import { Preview } from './preview';

export function SchedulePage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const schedule = useQuery(scheduleOptions(id));
  return <PageOf of={schedule}>{(data) => <Shown schedule={data} />}</PageOf>;
}

function Shown({ schedule }: { schedule: Schedule }) {
  const { mood, word } = STATUSES[schedule.status];
  const { policies } = schedule;
  const repeats = schedule.when.kind === 'cron';
  return (
    <Page
      title={schedule.name}
      up={{ to: '/schedules', label: 'Schedules' }}
      badge={<State mood={mood}>{word}</State>}
      lead={schedule.words}
      actions={<Actions schedule={schedule} />}
    >
      <Panel>
        <Facts
          facts={[
            [
              'Application',
              schedule.application.name ? (
                <Link key="application" to="/applications/$name" params={{ name: schedule.application.name }}>
                  {schedule.application.title} {schedule.application.version}
                </Link>
              ) : (
                `${schedule.application.title} ${schedule.application.version}`
              ),
            ],
            ['Location', schedule.location.path],
            ['For', schedule.owner.title],
            ['Next run', schedule.next_due ? shortMoment(schedule.next_due) : 'none'],
            ['Stops after', policies.stop_after_seconds ? duration(policies.stop_after_seconds * 1000) : 'not by itself'],
            ...(repeats
              ? ([
                  ['If the last run still goes on', OVERLAP_WORDS[policies.overlap ?? 'forbid']],
                  ['Missed runs', MISSED_WORDS[policies.missed ?? 'once']],
                ] as [string, string][])
              : []),
          ]}
        />
      </Panel>
      {repeats && schedule.status === 'active' && <Preview when={schedule.when} />}
      <Columns>
        <Parameters schedule={schedule} />
        <Skipped schedule={schedule} />
      </Columns>
      <Instances schedule={schedule.id} />
    </Page>
  );
}

function Actions({ schedule }: { schedule: Schedule }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const path = { path: { id: schedule.id } };
  const renew = () => client.invalidateQueries({ queryKey: ['schedules'] });
  const paused = schedule.status === 'paused';
  const toggle = useMutation({
    mutationFn: () => (paused ? change(api.POST('/api/v1/schedules/{id}/resume', { params: path })) : change(api.POST('/api/v1/schedules/{id}/pause', { params: path }))),
    onSuccess: renew,
    onError: tellProblem,
  });
  const remove = () => {
    confirm({
      title: `Delete the schedule ${schedule.name}?`,
      text: 'Nothing is started by it any more. What runs goes on until it ends or is stopped.',
      deed: 'Delete',
      act: async () => {
        await change(api.DELETE('/api/v1/schedules/{id}', { params: path }));
        await client.invalidateQueries({ queryKey: ['schedules', 'list'] });
        await navigate({ to: '/schedules' });
      },
      done: `${schedule.name} is deleted`,
    });
  };
  return (
    <>
      {schedule.status !== 'finished' && (
        <Button
          variant="default"
          leftSection={paused ? <IconPlayerPlay size={16} aria-hidden /> : <IconPlayerPause size={16} aria-hidden />}
          loading={toggle.isPending}
          onClick={() => {
            toggle.mutate();
          }}
        >
          {paused ? 'Go on' : 'Pause'}
        </Button>
      )}
      <Button variant="default" leftSection={<IconTrash size={16} aria-hidden />} onClick={remove}>
        Delete
      </Button>
    </>
  );
}

function Parameters({ schedule }: { schedule: Schedule }) {
  const { name, version } = schedule.application;
  const detail = useQuery({ ...versionOptions(name ?? '', version), enabled: name !== undefined && name !== null });
  const known = detail.data?.manifest.parameters ?? {};
  const entries = Object.entries(schedule.parameters as Record<string, string | number | boolean>);
  return (
    <Panel title="Parameters">
      {entries.length === 0 ? (
        <Empty title="It has none" />
      ) : (
        <Facts facts={entries.map(([key, value]) => [known[key]?.title ?? words(key), valueWithUnit(value, known[key]?.unit)])} />
      )}
    </Panel>
  );
}

function Skipped({ schedule }: { schedule: Schedule }) {
  return (
    <Panel title="Left out" aside={schedule.skipped > 0 ? `${count(schedule.skipped)} in all` : undefined} flush>
      {schedule.recent_skips.length === 0 ? (
        <Empty title="No run was left out" />
      ) : (
        <Table
          label="runs that were left out"
          rows={schedule.recent_skips}
          id={(skip) => skip.due}
          columns={[
            { title: 'Due', cell: (skip) => <span className="figures nowrap">{shortMoment(skip.due)}</span> },
            { title: 'Why', cell: (skip) => skip.reason },
          ]}
        />
      )}
    </Panel>
  );
}

function Instances({ schedule }: { schedule: string }) {
  const instances = useInfiniteQuery(instanceListOptions({ schedule }));
  const more = instances.hasNextPage ? { load: () => void instances.fetchNextPage(), loading: instances.isFetchingNextPage } : undefined;
  return (
    <Panel title="Instances" flush>
      <Outcome of={instances}>
        {(rows) => (rows.length === 0 ? <Empty title="Nothing has run yet">Each due moment becomes an instance, here.</Empty> : <InstanceTable rows={rows} more={more} without="application" />)}
      </Outcome>
    </Panel>
  );
}

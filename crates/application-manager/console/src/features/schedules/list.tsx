import { Button } from '@mantine/core';
import { IconCalendarTime } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { Schedule } from '@/api/types';
import { INSTANCE_STATES } from '@/features/instances/data';
import { shortMoment } from '@/ui/format';
import { List } from '@/ui/list';
import { Empty } from '@/ui/outcome';
import { Page } from '@/ui/page';
import { State } from '@/ui/state';
import type { Column } from '@/ui/table';
import { scheduleListOptions, STATUSES } from './data';

const COLUMNS: Column<Schedule>[] = [
  {
    title: 'Schedule',
    cell: (schedule) => (
      <Link to="/schedules/$id" params={{ id: schedule.id }}>
        {schedule.name}
      </Link>
    ),
  },
  { title: 'State', cell: (schedule) => <State mood={STATUSES[schedule.status].mood}>{STATUSES[schedule.status].word}</State>, tight: true },
  { title: 'When', cell: (schedule) => schedule.words },
  { title: 'Next', cell: (schedule) => (schedule.next_due ? <span className="figures">{shortMoment(schedule.next_due)}</span> : <span className="soft">none</span>) },
  { title: 'Last run', cell: (schedule) => <LastRun schedule={schedule} /> },
  { title: 'Application', cell: (schedule) => `${schedule.application.title} ${schedule.application.version}`, wideOnly: true },
  { title: 'Location', cell: (schedule) => schedule.location.path },
];

export function LastRun({ schedule: { last } }: { schedule: Schedule }) {
  if (!last) return <span className="soft">none yet</span>;
  const known = INSTANCE_STATES[last.state as keyof typeof INSTANCE_STATES] as (typeof INSTANCE_STATES)['running'] | undefined;
  return (
    <Link to="/instances/$id" params={{ id: last.instance.id }} aria-label={`last run, ${known?.word ?? 'forgotten'}`}>
      {known ? <State mood={known.mood}>{known.word}</State> : shortMoment(last.due)}
    </Link>
  );
}

export function SchedulesPage() {
  const schedules = useInfiniteQuery(scheduleListOptions);
  const choose = (
    <Button component={Link} to="/applications">
      Choose an application
    </Button>
  );
  return (
    <Page title="Schedules" lead="What runs when, where, and how.">
      <List
        label="schedules"
        of={schedules}
        columns={COLUMNS}
        id={(schedule) => schedule.id}
        target={(schedule) => ({ to: '/schedules/$id', params: { id: schedule.id } })}
        text={(schedule) => `${schedule.name} ${schedule.application.title} ${schedule.location.path} ${schedule.words}`}
        empty={
          <Empty icon={IconCalendarTime} title="No schedules yet" action={choose}>
            Choose an application, a place and a time. Each due moment becomes an instance; the schedule keeps track of them.
          </Empty>
        }
      />
    </Page>
  );
}

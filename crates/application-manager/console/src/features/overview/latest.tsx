import { Button } from '@mantine/core';
import { IconArrowRight, IconBell, IconPlayerPlay } from '@tabler/icons-react';
import { useInfiniteQuery, type UseInfiniteQueryResult } from '@tanstack/react-query';
import { Link, type LinkProps } from '@tanstack/react-router';
import type { Sensor } from '@/api/types';
import { instanceListOptions } from '@/features/instances/data';
import { InstanceTable } from '@/features/instances/table';
import { notificationListOptions } from '@/features/notifications/data';
import { NotificationList } from '@/features/notifications/feed';
import { SIGNALS } from '@/features/sensors/data';
import { Ago } from '@/ui/moment';
import { Empty, Outcome } from '@/ui/outcome';
import { Panel } from '@/ui/panel';
import { State } from '@/ui/state';
import { Table } from '@/ui/table';

const LATEST = 6;

function More({ to, label }: { to: LinkProps['to']; label: string }) {
  return (
    <Button component={Link} to={to} size="compact-sm" variant="subtle" rightSection={<IconArrowRight size={14} aria-hidden />}>
      {label}
    </Button>
  );
}

export function LatestInstances() {
  const instances = useInfiniteQuery(instanceListOptions({}));
  return (
    <Panel title="Latest instances" aside={<More to="/instances" label="All instances" />} flush>
      <Outcome of={instances}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty icon={IconPlayerPlay} title="Nothing has run yet">
              Pick an application, a place and a time. The platform binds the sensors that are there.
            </Empty>
          ) : (
            <InstanceTable rows={rows.slice(0, LATEST)} without="application" />
          )
        }
      </Outcome>
    </Panel>
  );
}

export function LatestNotifications() {
  const notifications = useInfiniteQuery(notificationListOptions);
  return (
    <Panel title="Notifications" aside={<More to="/notifications" label="All notifications" />} flush>
      <Outcome of={notifications}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty icon={IconBell} title="No notifications yet">
              What applications tell you appears here at once.
            </Empty>
          ) : (
            <NotificationList notifications={rows.slice(0, LATEST)} />
          )
        }
      </Outcome>
    </Panel>
  );
}

/** Sensors that should have sent by now. */
export function QuietSensors({ sensors }: { sensors: UseInfiniteQueryResult<Sensor[]> }) {
  return (
    <Panel title="Quiet sensors" aside={<More to="/sensors" label="All sensors" />} flush>
      <Outcome of={sensors}>
        {(all) => {
          const quiet = all.filter(({ signal }) => signal !== 'live');
          return quiet.length === 0 ? <Empty title={all.length === 0 ? 'No sensors yet' : 'Every sensor sends as expected'} /> : <QuietTable sensors={quiet} />;
        }}
      </Outcome>
    </Panel>
  );
}

function QuietTable({ sensors }: { sensors: Sensor[] }) {
  return (
    <Table
      label="quiet sensors"
      rows={sensors.slice(0, LATEST)}
      id={(sensor) => sensor.id}
      target={(sensor) => ({ to: '/sensors/$id', params: { id: sensor.id } })}
      columns={[
        {
          title: 'Sensor',
          cell: (sensor) => (
            <Link to="/sensors/$id" params={{ id: sensor.id }}>
              {sensor.name}
            </Link>
          ),
        },
        { title: 'Signal', cell: (sensor) => <State mood={SIGNALS[sensor.signal].mood}>{SIGNALS[sensor.signal].word}</State> },
        { title: 'Location', cell: (sensor) => sensor.location.path },
        { title: 'Last reading', cell: (sensor) => (sensor.last ? <Ago at={sensor.last.time} /> : 'never'), end: true },
      ]}
    />
  );
}

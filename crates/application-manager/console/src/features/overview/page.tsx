import { Button } from '@mantine/core';
import { IconArrowRight, IconBell, IconPlayerPlay } from '@tabler/icons-react';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { Instance, Sensor } from '@/api/types';
import { healthOptions } from '@/features/health/data';
import { instanceListOptions, isOver } from '@/features/instances/data';
import { InstanceTable } from '@/features/instances/table';
import { NotificationList } from '@/features/notifications/feed';
import { notificationListOptions } from '@/features/notifications/data';
import { sensorListOptions } from '@/features/sensors/data';
import { has, useMe } from '@/features/session/session';
import { count } from '@/ui/format';
import { Figures, type Figure } from '@/ui/figures';
import { Empty, Outcome } from '@/ui/outcome';
import { Columns, Page } from '@/ui/page';
import { Panel } from '@/ui/panel';
import { FirstSteps } from './first-steps';

const LATEST = 8;

function instanceFigures(instances: Instance[]): Figure[] {
  const running = instances.filter(({ state }) => state === 'running').length;
  const waiting = instances.filter(({ state }) => state === 'waiting').length;
  const failing = instances.filter(({ state }) => state === 'failing').length;
  return [
    {
      label: 'Instances running',
      value: count(running),
      mood: failing > 0 ? 'bad' : waiting > 0 ? 'warn' : running > 0 ? 'ok' : 'idle',
      note: failing > 0 ? `${count(failing)} failing` : waiting > 0 ? `${count(waiting)} waiting` : undefined,
      to: '/instances',
    },
  ];
}

function sensorFigures(sensors: Sensor[]): Figure[] {
  const live = sensors.filter(({ signal }) => signal === 'live').length;
  const quiet = sensors.filter(({ signal }) => signal === 'silent' || signal === 'late').length;
  return [
    { label: 'Sensors live', value: `${count(live)} of ${count(sensors.length)}`, mood: quiet > 0 ? 'warn' : live > 0 ? 'ok' : 'idle', note: quiet > 0 ? `${count(quiet)} late or silent` : undefined, to: '/sensors' },
  ];
}

export function OverviewPage() {
  const me = useMe();
  const admin = me.roles.includes('admin');
  const runs = has(me, 'end_user');
  const seesInstances = runs || has(me, 'developer');
  const seesSensors = runs || has(me, 'sensor_owner');
  const instances = useInfiniteQuery({ ...instanceListOptions({}), enabled: seesInstances });
  const sensors = useInfiniteQuery({ ...sensorListOptions(undefined), enabled: seesSensors, refetchInterval: 10_000 });
  const health = useQuery({ ...healthOptions, enabled: admin });
  const services = health.data?.services ?? [];
  const up = services.filter(({ state }) => state === 'up').length;
  const figures: Figure[] = [
    ...instanceFigures(instances.data?.filter((instance) => !isOver(instance)) ?? []),
    ...(seesSensors ? sensorFigures(sensors.data ?? []) : []),
    ...(admin && health.data ? [{ label: 'Services up', value: `${String(up)} of ${String(services.length)}`, mood: up === services.length ? 'ok' : 'bad', to: '/health' } as Figure] : []),
  ];
  return (
    <Page title={`Hello, ${me.title}`} lead="What runs, what measures, and what needs you.">
      <FirstSteps />
      {seesInstances && <Figures figures={figures} />}
      <Columns wide>
        {seesInstances && (
          <Panel title="Latest instances" aside={<More to="/instances" label="All instances" />} flush>
            <Outcome of={instances}>
              {(rows) =>
                rows.length === 0 ? (
                  <Empty
                    icon={IconPlayerPlay}
                    title="Nothing has run yet"
                    action={
                      <Button component={Link} to="/applications" variant="light">
                        Choose an application
                      </Button>
                    }
                  >
                    Pick an application, a place and a time. The platform binds the sensors that are there.
                  </Empty>
                ) : (
                  <InstanceTable rows={rows.slice(0, LATEST)} without="application" />
                )
              }
            </Outcome>
          </Panel>
        )}
        {runs && <Latest />}
      </Columns>
    </Page>
  );
}

function More({ to, label }: { to: '/instances' | '/notifications'; label: string }) {
  return (
    <Button component={Link} to={to} size="compact-sm" variant="subtle" rightSection={<IconArrowRight size={14} aria-hidden />}>
      {label}
    </Button>
  );
}

function Latest() {
  const notifications = useInfiniteQuery(notificationListOptions);
  return (
    <Panel title="Notifications" aside={<More to="/notifications" label="All" />} flush>
      <Outcome of={notifications}>
        {(rows) => (rows.length === 0 ? <Empty icon={IconBell} title="No notifications yet">What applications tell you appears here at once.</Empty> : <NotificationList notifications={rows.slice(0, LATEST)} />)}
      </Outcome>
    </Panel>
  );
}

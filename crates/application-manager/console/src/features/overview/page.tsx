import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { healthOptions } from '@/features/health/data';
import { instanceListOptions, isOver } from '@/features/instances/data';
import { sensorListOptions } from '@/features/sensors/data';
import { has, useMe } from '@/features/session/session';
import { Figures, type Figure } from '@/ui/figures';
import { Columns, Page } from '@/ui/page';
import { instanceFigure, sensorFigure, serviceFigure } from './figures';
import { FirstSteps } from './first-steps';
import { Ready } from './ready';
import { LatestInstances, LatestNotifications, QuietSensors } from './latest';

/** What runs, what measures, and what needs the person who looks. */
export function OverviewPage() {
  const me = useMe();
  const admin = me.roles.includes('admin');
  const runs = has(me, 'end_user');
  const owns = has(me, 'sensor_owner');
  const seesInstances = runs || has(me, 'developer');
  const seesSensors = runs || owns;
  const instances = useInfiniteQuery({ ...instanceListOptions({ active: true }), enabled: seesInstances });
  const sensors = useInfiniteQuery({ ...sensorListOptions(undefined), enabled: seesSensors, refetchInterval: 10_000 });
  const health = useQuery({ ...healthOptions, enabled: admin });
  const figures: Figure[] = [
    ...(seesInstances ? [instanceFigure(instances.data?.filter((instance) => !isOver(instance)))] : []),
    ...(seesSensors ? [sensorFigure(sensors.data)] : []),
    ...(admin ? [serviceFigure(health.data?.services)] : []),
  ];
  return (
    <Page title={`Hello, ${me.title}`} lead="What runs, what measures, and what needs you.">
      <FirstSteps />
      {figures.length > 0 && <Figures figures={figures} />}
      <Columns wide>
        <div style={{ display: 'flex', flexDirection: 'column', gap: 16, minWidth: 0 }}>
          {seesInstances && <LatestInstances />}
          {owns && <QuietSensors sensors={sensors} />}
        </div>
        <div style={{ display: 'flex', flexDirection: 'column', gap: 16, minWidth: 0 }}>
          {runs && <LatestNotifications />}
          <Ready />
        </div>
      </Columns>
    </Page>
  );
}

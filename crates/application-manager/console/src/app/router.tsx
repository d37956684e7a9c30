import { createRootRoute, createRoute, createRouter, lazyRouteComponent, type ErrorComponentProps } from '@tanstack/react-router';
import { IconMapOff } from '@tabler/icons-react';
import { Empty, Failed, Loading } from '@/ui/outcome';
import { Page } from '@/ui/page';
import { Panel } from '@/ui/panel';
import { Shell } from './shell';

function NotFound() {
  return (
    <Page title="Not found">
      <Panel>
        <Empty icon={IconMapOff} title="There is no page at this address">Maybe it was deleted, or the address has a typing error.</Empty>
      </Panel>
    </Page>
  );
}

function Broken({ error, reset }: ErrorComponentProps) {
  return (
    <Page title="Something went wrong">
      <Panel>
        <Failed error={error} retry={reset} />
      </Panel>
    </Page>
  );
}

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });

type Load<Name extends string> = () => Promise<Record<Name, React.ComponentType>>;

function page<Path extends string, Name extends string>(path: Path, load: Load<Name>, name: Name) {
  return createRoute({ getParentRoute: () => root, path, component: lazyRouteComponent(load, name) });
}

const tree = root.addChildren([
  page('/', () => import('@/features/overview/page'), 'OverviewPage'),
  page('/applications', () => import('@/features/applications/list'), 'ApplicationsPage'),
  page('/applications/upload', () => import('@/features/applications/upload-page'), 'UploadPage'),
  page('/applications/$name', () => import('@/features/applications/page'), 'ApplicationPage'),
  page('/applications/$name/run', () => import('@/features/run/page'), 'RunPage'),
  page('/schedules', () => import('@/features/schedules/list'), 'SchedulesPage'),
  page('/schedules/$id', () => import('@/features/schedules/page'), 'SchedulePage'),
  page('/instances', () => import('@/features/instances/list'), 'InstancesPage'),
  page('/instances/$id', () => import('@/features/instances/page'), 'InstancePage'),
  page('/notifications', () => import('@/features/notifications/page'), 'NotificationsPage'),
  page('/sensors', () => import('@/features/sensors/list'), 'SensorsPage'),
  page('/sensors/$id', () => import('@/features/sensors/page'), 'SensorPage'),
  page('/devices', () => import('@/features/devices/list'), 'DevicesPage'),
  page('/devices/$id', () => import('@/features/devices/page'), 'DevicePage'),
  page('/connectors', () => import('@/features/connectors/list'), 'ConnectorsPage'),
  page('/connectors/$id', () => import('@/features/connectors/page'), 'ConnectorPage'),
  createRoute({
    getParentRoute: () => root,
    path: '/locations',
    validateSearch: (search: Record<string, unknown>): { at?: string } => (typeof search['at'] === 'string' ? { at: search['at'] } : {}),
    component: lazyRouteComponent(() => import('@/features/locations/page'), 'LocationsPage'),
  }),
  page('/types', () => import('@/features/types/list'), 'TypesPage'),
  page('/types/$name', () => import('@/features/types/page'), 'TypePage'),
  page('/quarantine', () => import('@/features/records/quarantine'), 'QuarantinePage'),
  page('/health', () => import('@/features/health/page'), 'HealthPage'),
  page('/users', () => import('@/features/users/list'), 'UsersPage'),
  page('/users/$name', () => import('@/features/users/page'), 'UserPage'),
  page('/audit', () => import('@/features/records/audit'), 'AuditPage'),
  page('/account', () => import('@/features/account/page'), 'AccountPage'),
]);

export const router = createRouter({
  routeTree: tree,
  defaultPreload: 'intent',
  scrollRestoration: true,
  defaultPendingComponent: Loading,
  defaultErrorComponent: Broken,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}

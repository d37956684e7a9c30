import { Spotlight, type SpotlightActionData, type SpotlightActionGroupData } from '@mantine/spotlight';
import { IconApps, IconCpu, IconGauge, IconPlayerPlay, IconSearch } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { applicationListOptions } from '@/features/applications/data';
import { deviceListOptions } from '@/features/devices/data';
import { INSTANCE_STATES, instanceListOptions } from '@/features/instances/data';
import { sensorListOptions } from '@/features/sensors/data';
import { has, useMe } from '@/features/session/session';
import { navigation } from './navigation';

const SHOWN = 12;

/** Jumps to pages, applications, instances, sensors and devices by name. */
export function Palette() {
  const me = useMe();
  const navigate = useNavigate();
  const sees = has(me, 'end_user') || has(me, 'sensor_owner');
  const applications = useInfiniteQuery(applicationListOptions);
  const instances = useInfiniteQuery({ ...instanceListOptions({}), enabled: has(me, 'end_user') || has(me, 'developer') });
  const sensors = useInfiniteQuery({ ...sensorListOptions(undefined), enabled: sees });
  const devices = useInfiniteQuery({ ...deviceListOptions(undefined), enabled: sees });
  const groups: [string, SpotlightActionData[]][] = [
    [
      'Pages',
      navigation(me)
        .flatMap(({ goals }) => goals)
        .map(({ to, label, icon: Icon }) => ({ id: `page ${label}`, label, leftSection: <Icon size={18} stroke={1.6} aria-hidden />, onClick: () => void navigate({ to }) })),
    ],
    [
      'Applications',
      (applications.data ?? []).map(({ name, title, description }) => ({
        id: `application ${name}`,
        label: title,
        description,
        leftSection: <IconApps size={18} stroke={1.6} aria-hidden />,
        onClick: () => void navigate({ to: '/applications/$name', params: { name } }),
      })),
    ],
    [
      'Instances',
      (instances.data ?? []).map(({ id, name, state, location }) => ({
        id: `instance ${id}`,
        label: name,
        description: `${INSTANCE_STATES[state].word} · ${location.path}`,
        leftSection: <IconPlayerPlay size={18} stroke={1.6} aria-hidden />,
        onClick: () => void navigate({ to: '/instances/$id', params: { id } }),
      })),
    ],
    [
      'Sensors',
      (sensors.data ?? []).map(({ id, name, type, location }) => ({
        id: `sensor ${id}`,
        label: name,
        description: `${type.title} · ${location.path}`,
        leftSection: <IconGauge size={18} stroke={1.6} aria-hidden />,
        onClick: () => void navigate({ to: '/sensors/$id', params: { id } }),
      })),
    ],
    [
      'Devices',
      (devices.data ?? []).map(({ id, name, type, location }) => ({
        id: `device ${id}`,
        label: name,
        description: `${type.title} · ${location.path}`,
        leftSection: <IconCpu size={18} stroke={1.6} aria-hidden />,
        onClick: () => void navigate({ to: '/devices/$id', params: { id } }),
      })),
    ],
  ];
  const actions: SpotlightActionGroupData[] = groups.filter(([, entries]) => entries.length > 0).map(([group, entries]) => ({ group, actions: entries }));
  return (
    <Spotlight
      actions={actions}
      limit={SHOWN}
      shortcut={['mod + K', '/']}
      nothingFound="Nothing of that name"
      highlightQuery
      // What is longer than the window scrolls, also by keyboard.
      scrollAreaProps={{ viewportProps: { tabIndex: 0 } }}
      searchProps={{ leftSection: <IconSearch size={18} aria-hidden />, placeholder: 'Search or jump to…', 'aria-label': 'search' }}
    />
  );
}

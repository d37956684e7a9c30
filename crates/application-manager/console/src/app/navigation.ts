import {
  IconActivityHeartbeat,
  IconApps,
  IconBell,
  IconBooks,
  IconCalendarTime,
  IconCpu,
  IconGauge,
  IconHome,
  IconListDetails,
  IconMapPin,
  IconPlayerPlay,
  IconPlugConnected,
  IconShieldQuestion,
  IconUsers,
  type Icon,
} from '@tabler/icons-react';
import type { LinkProps } from '@tanstack/react-router';
import type { User } from '@/api/types';
import { has } from '@/features/session/session';

export interface Goal {
  to: LinkProps['to'];
  label: string;
  icon: Icon;
}

export interface Group {
  label?: string;
  goals: Goal[];
}

/** Returns what someone finds in the navigation: only what their roles are for. */
export function navigation(user: User): Group[] {
  const runs = has(user, 'end_user');
  const develops = has(user, 'developer');
  const owns = has(user, 'sensor_owner');
  const admin = user.roles.includes('admin');
  const groups: { label?: string; goals: [boolean, Goal][] }[] = [
    { goals: [[true, { to: '/', label: 'Overview', icon: IconHome }]] },
    {
      label: 'Applications',
      goals: [
        [true, { to: '/applications', label: 'Applications', icon: IconApps }],
        [runs, { to: '/schedules', label: 'Schedules', icon: IconCalendarTime }],
        [runs || develops, { to: '/instances', label: 'Instances', icon: IconPlayerPlay }],
        [runs, { to: '/notifications', label: 'Notifications', icon: IconBell }],
      ],
    },
    {
      label: 'Sensors and devices',
      goals: [
        [owns || runs, { to: '/sensors', label: 'Sensors', icon: IconGauge }],
        [owns || runs, { to: '/devices', label: 'Devices', icon: IconCpu }],
        [owns, { to: '/connectors', label: 'Connectors', icon: IconPlugConnected }],
        [owns || runs, { to: '/locations', label: 'Locations', icon: IconMapPin }],
        [owns || develops, { to: '/types', label: 'Types', icon: IconBooks }],
        [owns, { to: '/quarantine', label: 'Refused readings', icon: IconShieldQuestion }],
      ],
    },
    {
      label: 'Platform',
      goals: [
        [admin, { to: '/health', label: 'Health', icon: IconActivityHeartbeat }],
        [admin, { to: '/users', label: 'Users', icon: IconUsers }],
        [admin, { to: '/audit', label: 'Audit', icon: IconListDetails }],
      ],
    },
  ];
  return groups
    .map((group) => ({ label: group.label, goals: group.goals.filter(([shown]) => shown).map(([, goal]) => goal) }))
    .filter((group) => group.goals.length > 0);
}

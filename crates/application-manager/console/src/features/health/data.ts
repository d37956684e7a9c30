import { queryOptions } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import type { ComponentHealth, Recovery, Service } from '@/api/types';
import { words } from '@/ui/format';
import type { Mood } from '@/ui/state';

export const healthOptions = queryOptions({ queryKey: ['health'], queryFn: () => ask(api.GET('/api/v1/health')), refetchInterval: 5000 });

export const HEALTH_STATES: Record<NonNullable<Service['state']>, { mood: Mood; word: string }> = {
  up: { mood: 'ok', word: 'Up' },
  not_ready: { mood: 'warn', word: 'Not ready' },
  suspected: { mood: 'warn', word: 'Beats are late' },
  down: { mood: 'bad', word: 'Down' },
  stopped: { mood: 'idle', word: 'Stopped' },
  degraded: { mood: 'warn', word: 'Needs attention' },
};

export const RECOVERY_STATES: Record<Recovery['state'], { mood: Mood; word: string }> = {
  started: { mood: 'warn', word: 'Stands in' },
  failed: { mood: 'bad', word: 'Failed' },
  ended: { mood: 'idle', word: 'Ended' },
};

/** What people call what is watched besides services. */
export function componentTitle(component: ComponentHealth['component']): string {
  switch (component.kind) {
    case 'host':
      return `Host ${component.name}`;
    case 'kafka':
      return 'Kafka';
    case 'mongodb':
      return 'MongoDB';
  }
}

/** What each service is for. */
const ROLES: Record<Service['service'], string> = {
  'application-manager': 'catalogue, users, console, REST API',
  scheduler: 'when something is due',
  deployer: 'images and instances',
  'sensor-manager': 'registry, readings, binding',
  'action-manager': 'notifications and device commands',
  monitor: 'who is up and who is down',
  agent: 'the door of the applications on a host',
};

export function serviceTitle(service: Service['service']): string {
  return service === 'agent' ? 'Node agent' : words(service);
}

export function serviceRole(service: Service['service']): string {
  return ROLES[service];
}

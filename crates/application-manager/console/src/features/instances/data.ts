import { queryOptions } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import { listOptions, PART } from '@/api/lists';
import type { Instance } from '@/api/types';
import type { Mood } from '@/ui/state';

export interface Which {
  application?: string;
  schedule?: string;
  active?: boolean;
}

export function instanceListOptions(which: Which) {
  return listOptions(['instances', 'list', which], (after) => ask(api.GET('/api/v1/instances', { params: { query: { ...which, after, limit: PART } } })));
}

export function instanceOptions(id: string) {
  return queryOptions({
    queryKey: ['instances', 'one', id],
    queryFn: () => ask(api.GET('/api/v1/instances/{id}', { params: { path: { id } } })),
  });
}

/** How far an instance is, in words. */
export const INSTANCE_STATES: Record<Instance['state'], { mood: Mood; word: string }> = {
  requested: { mood: 'busy', word: 'Requested' },
  waiting: { mood: 'warn', word: 'Waiting' },
  starting: { mood: 'busy', word: 'Starting' },
  running: { mood: 'ok', word: 'Running' },
  failing: { mood: 'bad', word: 'Failing' },
  stopping: { mood: 'busy', word: 'Stopping' },
  succeeded: { mood: 'ok', word: 'Succeeded' },
  failed: { mood: 'bad', word: 'Failed' },
  stopped: { mood: 'idle', word: 'Stopped' },
};

/** Whether an instance is over. */
export function isOver({ state }: Pick<Instance, 'state'>): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'stopped';
}

/** Says why an instance is in its state; undefined where the state says it all. */
export function reason(instance: Instance): string | undefined {
  switch (instance.state) {
    case 'waiting':
    case 'failing':
    case 'stopping':
    case 'stopped':
      return instance.why === '' ? undefined : instance.why;
    case 'failed':
      return instance.exit_code === null || instance.exit_code === undefined ? instance.why : `${instance.why} (exit code ${String(instance.exit_code)})`;
    default:
      return undefined;
  }
}

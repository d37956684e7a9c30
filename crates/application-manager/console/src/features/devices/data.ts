import { queryOptions } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import { listOptions, PART } from '@/api/lists';
import type { Command } from '@/api/types';
import { shown, words } from '@/ui/format';
import type { Mood } from '@/ui/state';

export function deviceListOptions(location: string | undefined) {
  return listOptions(['devices', 'list', location ?? ''], (after) => ask(api.GET('/api/v1/devices', { params: { query: { after, limit: PART, location } } })));
}

export function deviceOptions(id: string) {
  return queryOptions({
    queryKey: ['devices', 'one', id],
    queryFn: () => ask(api.GET('/api/v1/devices/{id}', { params: { path: { id } } })),
  });
}

export function deviceCommandsOptions(id: string) {
  return listOptions(['devices', 'commands', id], (after) => ask(api.GET('/api/v1/devices/{id}/commands', { params: { path: { id }, query: { after, limit: 50 } } })));
}

/** How far a command is, in words. */
export const COMMAND_STATES: Record<Command['state'], { mood: Mood; word: string }> = {
  queued: { mood: 'busy', word: 'Waits for the device' },
  sent: { mood: 'busy', word: 'Sent' },
  acknowledged: { mood: 'ok', word: 'Done' },
  failed: { mood: 'bad', word: 'Failed' },
  expired: { mood: 'warn', word: 'Expired' },
};

/** Says what a command is with: `on, speed high`. */
export function withWords(values: Record<string, unknown>): string {
  return Object.entries(values)
    .map(([name, value]) => (typeof value === 'boolean' ? `${words(name)}: ${value ? 'yes' : 'no'}` : `${words(name)}: ${shown(value)}`))
    .join(', ');
}

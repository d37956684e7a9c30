import { queryOptions } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import { listOptions, PART } from '@/api/lists';
import type { Schedule } from '@/api/types';
import type { Mood } from '@/ui/state';

export const scheduleListOptions = listOptions(['schedules', 'list'], (after) => ask(api.GET('/api/v1/schedules', { params: { query: { after, limit: PART } } })));

export function scheduleOptions(id: string) {
  return queryOptions({
    queryKey: ['schedules', 'one', id],
    queryFn: () => ask(api.GET('/api/v1/schedules/{id}', { params: { path: { id } } })),
  });
}

/** Whether a schedule goes on, in words. */
export const STATUSES: Record<Schedule['status'], { mood: Mood; word: string }> = {
  active: { mood: 'ok', word: 'Active' },
  paused: { mood: 'warn', word: 'Paused' },
  finished: { mood: 'idle', word: 'Finished' },
};

export const OVERLAP_WORDS = { forbid: 'the new run is left out', allow: 'both run', replace: 'the old run is stopped' } as const;
export const MISSED_WORDS = { skip: 'left out', once: 'the latest is run, if at most an hour late', all: 'each is run' } as const;

import { queryOptions } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import { listOptions, PART } from '@/api/lists';
import type { Property, Sensor } from '@/api/types';
import { figure, unit } from '@/ui/format';
import type { Mood } from '@/ui/state';

export function sensorListOptions(location: string | undefined) {
  return listOptions(['sensors', 'list', location ?? ''], (after) => ask(api.GET('/api/v1/sensors', { params: { query: { after, limit: PART, location } } })));
}

export function sensorOptions(id: string) {
  return queryOptions({
    queryKey: ['sensors', 'one', id],
    queryFn: () => ask(api.GET('/api/v1/sensors/{id}', { params: { path: { id } } })),
  });
}

/** Whether a sensor sends, in words. */
export const SIGNALS: Record<Sensor['signal'], { mood: Mood; word: string }> = {
  live: { mood: 'ok', word: 'Live' },
  late: { mood: 'warn', word: 'Late' },
  silent: { mood: 'bad', word: 'Silent' },
  never: { mood: 'idle', word: 'Never sent' },
};

/** Says what a sensor measured, in the order of its properties. */
export function measured(values: Record<string, number>, properties: Record<string, Property>): string {
  return Object.entries(values)
    .map(([name, value]) => `${figure(value)}${unit(properties[name]?.unit)}`)
    .join(' · ');
}

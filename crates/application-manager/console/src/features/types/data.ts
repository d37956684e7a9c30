import { queryOptions } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import { listOptions, PART, readAll } from '@/api/lists';
import type { Property, TypeFacts } from '@/api/types';
import { figure, unit, words } from '@/ui/format';

const read = (limit: number) => (after: string | undefined) => ask(api.GET('/api/v1/types', { params: { query: { after, limit } } }));

export const typeListOptions = listOptions(['types', 'list'], read(PART));

/** Every type, for choices. */
export const typesOptions = queryOptions({ queryKey: ['types', 'all'], queryFn: () => readAll(read(500)) });

export function typeOptions(name: string) {
  return queryOptions({
    queryKey: ['types', 'one', name],
    queryFn: () => ask(api.GET('/api/v1/types/{name}', { params: { path: { name } } })),
  });
}

/** Says what a type is about: what it measures, or what it can do. */
export function gist(type: TypeFacts): string {
  const names =
    type.kind === 'sensor'
      ? Object.entries(type.properties ?? {}).map(([name, property]) => `${property.title ?? words(name)}${unit(property.unit).replace('\u00a0', ' in ')}`)
      : Object.entries(type.commands ?? {}).map(([name, command]) => command.title ?? words(name));
  return names.join(', ');
}

/** Says what values of a property are taken. */
export function range(property: Pick<Property, 'minimum' | 'maximum' | 'unit'>): string {
  const { minimum, maximum } = property;
  const of = unit(property.unit);
  if (typeof minimum === 'number' && typeof maximum === 'number') return `${figure(minimum)} to ${figure(maximum)}${of}`;
  if (typeof minimum === 'number') return `${figure(minimum)}${of} or more`;
  if (typeof maximum === 'number') return `${figure(maximum)}${of} or less`;
  return 'any';
}

import { queryOptions } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import { listOptions, PART, readAll } from '@/api/lists';
import type { Connector } from '@/api/types';
import { many } from '@/ui/format';

const read = (limit: number) => (after: string | undefined) => ask(api.GET('/api/v1/connectors', { params: { query: { after, limit } } }));

export const connectorListOptions = listOptions(['connectors', 'list'], read(PART));

/** Every connector that the caller manages, for choices. */
export const connectorsOptions = queryOptions({ queryKey: ['connectors', 'all'], queryFn: () => readAll(read(500)) });

export function connectorOptions(id: string) {
  return queryOptions({
    queryKey: ['connectors', 'one', id],
    queryFn: () => ask(api.GET('/api/v1/connectors/{id}', { params: { path: { id } } })),
  });
}

/** Says what a connector carries. */
export function carries(connector: Connector): string {
  const parts = [
    connector.sensors.length > 0 ? many(connector.sensors.length, 'sensor') : '',
    connector.devices.length > 0 ? many(connector.devices.length, 'device') : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'nothing yet' : parts.join(', ');
}

import { queryOptions } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import { listOptions, PART } from '@/api/lists';

export const userListOptions = listOptions(['users', 'list'], (after) => ask(api.GET('/api/v1/users', { params: { query: { after, limit: PART } } })));

export function userOptions(name: string) {
  return queryOptions({
    queryKey: ['users', 'one', name],
    queryFn: () => ask(api.GET('/api/v1/users/{name}', { params: { path: { name } } })),
  });
}

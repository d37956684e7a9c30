import { queryOptions, useQuery, type QueryClient } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import { Problem } from '@/api/problem';
import type { Role, User, WhoAmI } from '@/api/types';

/** Who is signed in; null: nobody. */
export const sessionOptions = queryOptions<WhoAmI | null>({
  queryKey: ['session'],
  queryFn: async () => {
    try {
      return await ask(api.GET('/api/v1/session'));
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

/** Someone signed in or out: nothing that another person read is kept. */
export function enter(client: QueryClient, session: WhoAmI | null): void {
  client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== sessionOptions.queryKey[0] });
  client.setQueryData(sessionOptions.queryKey, session);
}

/** Returns who is signed in. Only below the gate, where someone is. */
export function useMe(): User {
  const { data } = useQuery(sessionOptions);
  if (!data) throw new Error('nobody is signed in here');
  return data.user;
}

/** Whether someone may do what a role may do; an admin may everything. */
export function has(user: User, role: Role): boolean {
  return user.roles.includes('admin') || user.roles.includes(role);
}

export const ROLE_WORDS: Record<Role, { title: string; does: string }> = {
  admin: { title: 'Admin', does: 'everything, and sees the platform itself' },
  sensor_owner: { title: 'Sensor owner', does: 'registers sensors and devices' },
  developer: { title: 'Developer', does: 'uploads applications' },
  end_user: { title: 'End user', does: 'runs applications' },
};

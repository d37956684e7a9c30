import { useQueryClient } from '@tanstack/react-query';
import { createContext, useContext, useEffect, useRef, useSyncExternalStore, type ReactNode } from 'react';
import type { Hub } from './hub';
import type { Topic } from './topics';

const HubContext = createContext<Hub | undefined>(undefined);

export function LiveProvider({ hub, children }: { hub: Hub; children: ReactNode }) {
  return <HubContext value={hub}>{children}</HubContext>;
}

export function useHub(): Hub {
  const hub = useContext(HubContext);
  if (!hub) throw new Error('there is no LiveProvider above');
  return hub;
}

/** Whether what is shown is live right now. */
export function useConnected(): boolean {
  const hub = useHub();
  return useSyncExternalStore(hub.onStatus, () => hub.connected);
}

/** Watches topics while the component is shown. */
export function useTopics(topics: Topic[], event: (topic: Topic, data: unknown) => void, opened?: () => void): void {
  const hub = useHub();
  const latest = useRef({ event, opened });
  useEffect(() => {
    latest.current = { event, opened };
  });
  const key = topics.join();
  useEffect(() => {
    if (key === '') return undefined;
    return hub.watch({
      topics: key.split(',') as Topic[],
      event: (topic, data) => {
        latest.current.event(topic, data);
      },
      opened: () => latest.current.opened?.(),
    });
  }, [hub, key]);
}

/** Which lists a topic renews. */
const RENEWS: Partial<Record<Topic, string[]>> = {
  instances: ['instances'],
  applications: ['applications'],
  schedules: ['schedules'],
  notifications: ['notifications'],
  health: ['health'],
  registry: ['locations', 'types', 'connectors', 'sensors', 'devices', 'match'],
  users: ['users'],
};

/** At most one renewal of a list in this time: a storm of events must not become a storm of requests. */
const CALM_MS = 1000;

/** Keeps the lists of this tab fresh. */
export function useFreshLists(topics: Topic[]): void {
  const client = useQueryClient();
  const pending = useRef(new Map<string, ReturnType<typeof setTimeout>>());
  useEffect(() => {
    const timers = pending.current;
    return () => {
      timers.forEach(clearTimeout);
      timers.clear();
    };
  }, []);
  const renew = (topic: Topic) => {
    for (const list of RENEWS[topic] ?? []) {
      if (pending.current.has(list)) continue;
      const begin = () => {
        pending.current.delete(list);
        void client.invalidateQueries({ queryKey: [list] });
      };
      pending.current.set(list, setTimeout(begin, CALM_MS / 4));
    }
  };
  useTopics(topics, renew, () => {
    topics.forEach(renew);
  });
}

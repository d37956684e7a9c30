import { queryOptions, useQuery } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import { listOptions, PART } from '@/api/lists';
import type { Application, Version } from '@/api/types';
import { words } from '@/ui/format';
import type { Mood } from '@/ui/state';

export const applicationListOptions = listOptions(['applications', 'list'], (after) => ask(api.GET('/api/v1/applications', { params: { query: { after, limit: PART } } })));

export function applicationOptions(name: string) {
  return queryOptions({
    queryKey: ['applications', 'one', name],
    queryFn: () => ask(api.GET('/api/v1/applications/{name}', { params: { path: { name } } })),
  });
}

export function versionOptions(name: string, version: string) {
  return queryOptions({
    queryKey: ['applications', 'version', name, version],
    queryFn: () => ask(api.GET('/api/v1/applications/{name}/versions/{version}', { params: { path: { name, version } } })),
  });
}

/** What a manifest calls its slots; empty until it is read. */
export function useSlotTitles({ name, version }: { name?: string | null; version: string }): Record<string, string> {
  const detail = useQuery({ ...versionOptions(name ?? '', version), enabled: name !== undefined && name !== null });
  const slots = Object.entries(detail.data?.manifest.slots ?? {});
  return Object.fromEntries(slots.map(([slot, { title }]) => [slot, title ?? words(slot)]));
}

/** How far a version is, in words. */
export const VERSION_STATES: Record<Version['state'], { mood: Mood; word: string }> = {
  building: { mood: 'busy', word: 'Building' },
  ready: { mood: 'ok', word: 'Ready' },
  failed: { mood: 'bad', word: 'Build failed' },
};

/** The version that a page shows first: the newest that can run, else the newest. */
export function leading(application: Application): Version | undefined {
  return application.versions.find(({ number }) => number === application.ready) ?? application.versions[0];
}

export function listedWords(application: Application): string {
  if (application.listed.to === 'everyone') return 'everyone';
  const named = application.listed.users.length;
  return named === 0 ? 'only its developer' : `its developer and ${String(named)} more`;
}

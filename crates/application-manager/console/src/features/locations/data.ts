import { queryOptions } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import { readAll } from '@/api/lists';
import type { Location } from '@/api/types';

/** Every place where the caller has a right. */
export const locationsOptions = queryOptions({
  queryKey: ['locations', 'all'],
  queryFn: () => readAll((after) => ask(api.GET('/api/v1/locations', { params: { query: { after, limit: 500 } } }))),
});

/** A place with the places in it. */
export interface Branch {
  location: Location;
  children: Branch[];
}

/** Makes the tree of places, in order of name. A place whose parent is not visible is a root. */
export function tree(locations: Location[]): Branch[] {
  const branches = new Map(locations.map((location) => [location.id, { location, children: [] as Branch[] }]));
  const roots: Branch[] = [];
  for (const branch of branches.values()) {
    const parent = branch.location.parent ? branches.get(branch.location.parent) : undefined;
    (parent?.children ?? roots).push(branch);
  }
  const sort = (level: Branch[]): void => {
    level.sort((one, other) => one.location.name.localeCompare(other.location.name, undefined, { numeric: true }));
    level.forEach((branch) => {
      sort(branch.children);
    });
  };
  sort(roots);
  return roots;
}

/** Returns the places above a place, from the root. */
export function above(locations: Location[], id: string): Location[] {
  const byId = new Map(locations.map((location) => [location.id, location]));
  const chain: Location[] = [];
  let next = byId.get(id)?.parent;
  while (next && chain.length < 32) {
    const found = byId.get(next);
    if (!found) break;
    chain.unshift(found);
    next = found.parent;
  }
  return chain;
}

import { describe, expect, it } from 'vitest';
import type { Location } from '@/api/types';
import { above, tree } from './data';

function place(id: string, parent?: string): Location {
  return { id, name: id, kind: 'room', parent, path: id, grants: [], may_manage: false, sensors: 0, devices: 0, version: 1 };
}

describe('the tree of places', () => {
  it('nests, sorts by name with numbers, and keeps what hangs in the air as a root', () => {
    const roots = tree([place('Room 10', 'A'), place('Room 9', 'A'), place('A'), place('Lost', 'hidden')]);
    expect(roots.map(({ location }) => location.name)).toEqual(['A', 'Lost']);
    expect(roots[0]?.children.map(({ location }) => location.name)).toEqual(['Room 9', 'Room 10']);
  });

  it('knows the way up, and survives a loop', () => {
    expect(above([place('a'), place('b', 'a'), place('c', 'b')], 'c').map(({ id }) => id)).toEqual(['a', 'b']);
    expect(above([place('a', 'b'), place('b', 'a')], 'a').length).toBeLessThanOrEqual(32);
  });
});

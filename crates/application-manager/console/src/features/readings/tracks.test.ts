import { describe, expect, it } from 'vitest';
import type { Point, Readings } from '@/api/types';
import { alone, broken, group, merge } from './tracks';

function point(second: number, value = second): Point {
  return { time: new Date(second * 1000).toISOString(), values: { temperature: value } };
}

describe('merge', () => {
  it('keeps order, takes repeats once and forgets what is too old', () => {
    const merged = merge([point(1), point(2), point(4)], [point(3), point(4), point(5)], 2000);
    expect(merged.map(({ values }) => values['temperature'])).toEqual([2, 3, 4, 5]);
  });

  it('keeps two values of one moment', () => {
    expect(merge([point(1, 10)], [point(1, 11)], 0)).toHaveLength(2);
  });

  it('changes nothing when there is nothing new', () => {
    const known = [point(1)];
    expect(merge(known, [], 0)).toBe(known);
  });
});

describe('group', () => {
  it('puts the same property of several sensors into one chart', () => {
    const readings = (id: string): Readings => ({
      sensor: { id, name: `Sensor ${id}` },
      properties: { temperature: { unit: 'Cel' } },
      points: [point(1), { time: new Date(0).toISOString(), values: {} }],
      thinned: false,
    });
    const groups = group([readings('a'), readings('b')]);
    expect(groups).toHaveLength(1);
    expect(groups[0]).toMatchObject({ title: 'Temperature', unit: 'Cel' });
    expect(groups[0]?.tracks.map((track) => track.points)).toEqual([[[1000, 1]], [[1000, 1]]]);
  });
});

describe('broken', () => {
  it('breaks a line where readings are missing for long', () => {
    const second = (at: number): [number, number] => [at * 1000, at];
    expect(broken([1, 2, 3, 30, 31].map(second))).toEqual([...[1, 2, 3].map(second), [4000, null], ...[30, 31].map(second)]);
    expect(broken([1, 2, 9, 10].map(second))).toHaveLength(4);
    expect(broken([])).toEqual([]);
  });
});

describe('alone', () => {
  it.each([
    [[1], [0]],
    [[1, 2], []],
    [[1, null, 2, 3, null, undefined, 4], [0, 6]],
    [[undefined, 1, undefined, 2], []],
    [[null, undefined], []],
    [[], []],
  ])('finds in %j the points %j', (values, found) => {
    expect(alone(values)).toEqual(found);
  });
});

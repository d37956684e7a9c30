import type { Point, Property, Readings } from '@/api/types';
import { words } from '@/ui/format';

/** One line of a chart: moments in milliseconds and values. */
export interface Track {
  key: string;
  label: string;
  /** Null where nothing came for long: there the line is broken. */
  points: [number, number | null][];
}

/** The lines of one property, of every sensor that measures it. */
export interface Group {
  property: string;
  title: string;
  unit: string | null | undefined;
  tracks: Track[];
}

/** Adds readings to those known: in order of time, each once, none before `from`. */
export function merge(known: Point[], more: Point[], from: number): Point[] {
  if (more.length === 0 && (known[0] === undefined || Date.parse(known[0].time) >= from)) return known;
  const seen = new Map<string, Point>();
  for (const point of [...known, ...more]) {
    if (Date.parse(point.time) >= from) seen.set(`${point.time} ${JSON.stringify(point.values)}`, point);
  }
  return [...seen.values()].sort((one, other) => Date.parse(one.time) - Date.parse(other.time));
}

function title(name: string, property: Property): string {
  return property.title ?? words(name);
}

/** So many usual distances without a reading are a gap. */
const GAP = 6;
const SHORTEST_GAP_MS = 10_000;

/** Breaks a line where readings are missing, measured by the distance that is usual in it. */
export function broken(points: [number, number][]): [number, number | null][] {
  const distances = points.slice(1).map(([time], index) => time - (points[index]?.[0] ?? time));
  const usual = distances.toSorted((one, other) => one - other)[Math.floor(distances.length / 2)] ?? 0;
  const longest = Math.max(GAP * usual, SHORTEST_GAP_MS);
  return points.flatMap(([time, value], index): [number, number | null][] => {
    const before = points[index - 1]?.[0];
    return before !== undefined && time - before > longest ? [[before + usual, null], [time, value]] : [[time, value]];
  });
}

/** Returns where the points are that no line reaches: without a mark they would not be seen. A line skips what is undefined and ends at null. */
export function alone(values: readonly (number | null | undefined)[]): number[] {
  const known = [...values.entries()].filter(([, value]) => value !== undefined);
  const ends = (at: number) => (known[at]?.[1] ?? null) === null;
  return known.flatMap(([index], at) => (!ends(at) && ends(at - 1) && ends(at + 1) ? [index] : []));
}

/** Makes the lines of sensors, one group for each property and unit. */
export function group(sensors: Readings[]): Group[] {
  const groups = new Map<string, Group>();
  for (const { sensor, properties, points } of sensors) {
    for (const [name, property] of Object.entries(properties)) {
      const key = `${name} ${property.unit ?? ''}`;
      const made = groups.get(key) ?? { property: name, title: title(name, property), unit: property.unit, tracks: [] };
      groups.set(key, made);
      made.tracks.push({
        key: sensor.id,
        label: sensor.name,
        points: broken(
          points.flatMap((point) => {
            const value = point.values[name];
            return value === undefined ? [] : [[Date.parse(point.time), value] as [number, number]];
          }),
        ),
      });
    }
  }
  return [...groups.values()];
}

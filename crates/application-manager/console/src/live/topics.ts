/** Something to watch on the event stream, as the API names it. */
export type Topic =
  | 'instances'
  | 'applications'
  | 'schedules'
  | 'notifications'
  | 'health'
  | 'registry'
  | 'users'
  | 'operations'
  | `readings:${string}`
  | `logs:${string}`
  | `build:${string}`
  | `commands:${string}`;

/** Returns every topic that some tab wants, in a stable order. */
export function union(wanted: Iterable<Iterable<string>>): string[] {
  const all = new Set<string>();
  for (const topics of wanted) for (const topic of topics) all.add(topic);
  return [...all].sort();
}

/** Whether a stream for `open` serves `wanted`. */
export function serves(open: readonly string[], wanted: readonly string[]): boolean {
  const known = new Set(open);
  return wanted.every((topic) => known.has(topic));
}

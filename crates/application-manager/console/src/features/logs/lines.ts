/** A line that an application or a build printed. */
export interface Line {
  /** The container; empty for builds. */
  container: string;
  number: number;
  time: string;
  stream: 'stdout' | 'stderr' | 'platform';
  text: string;
}

/** More lines than this are not kept in the page; older ones can be read again. */
export const MOST_LINES = 3000;

function name(line: Line): string {
  return `${line.container}/${String(line.number)}`;
}

/** Adds lines to those known: in order of time, each once, the newest ones kept. */
export function join(known: Line[], more: Line[], most = MOST_LINES): Line[] {
  const names = new Set(known.map(name));
  const fresh = more.filter((line) => !names.has(name(line)));
  if (fresh.length === 0) return known;
  const all = [...known, ...fresh].sort(
    (one, other) => one.time.localeCompare(other.time) || (one.container === other.container ? one.number - other.number : 0),
  );
  return all.slice(-most);
}

export type Shown = 'all' | 'stdout' | 'stderr' | 'platform';

/** Returns the lines that someone looks for. */
export function filter(lines: Line[], query: string, shown: Shown): Line[] {
  const wanted = query.trim().toLowerCase();
  return lines.filter((line) => (shown === 'all' || line.stream === shown) && (wanted === '' || line.text.toLowerCase().includes(wanted)));
}

/** Returns lines as a text file. */
export function asText(lines: Line[]): string {
  return lines.map((line) => `${line.time} ${line.stream === 'stdout' ? '' : `[${line.stream}] `}${line.text}\n`).join('');
}

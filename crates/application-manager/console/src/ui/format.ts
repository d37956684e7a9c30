import type { Value } from '@/api/types';

/** Units of the SenML registry as people write them. */
const UNITS: Record<string, string> = {
  Cel: '°C',
  '%RH': '% RH',
  'm/s': 'm/s',
  'm2': 'm²',
  'm3': 'm³',
  'W/m2': 'W/m²',
  deg: '°',
  '/': '',
  '1': '',
};

/** Returns a unit for people, with the space that goes before it. */
export function unit(code: string | null | undefined): string {
  if (code === null || code === undefined || code === '') return '';
  const words = UNITS[code] ?? code;
  return words === '' || words === '°' ? words : `\u00a0${words}`;
}

const FIGURES = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 5 });
const WHOLE = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });

/** Returns a measured number: enough digits to see a change, not more. */
export function figure(value: number): string {
  return Math.abs(value) >= 100_000 ? WHOLE.format(value) : FIGURES.format(value);
}

export function count(value: number): string {
  return WHOLE.format(value);
}

/** Returns a number of things: `1 sensor`, `3 sensors`. */
export function many(number: number, noun: string): string {
  return `${WHOLE.format(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/** Returns a value of a parameter, argument or report. */
export function shown(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value === 'number') return figure(value);
  if (typeof value === 'string') return value;
  return JSON.stringify(value);
}

export function valueWithUnit(value: Value, code: string | null | undefined): string {
  return typeof value === 'boolean' ? (value ? 'yes' : 'no') : `${shown(value)}${unit(code)}`;
}

const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(value: number): string {
  const step = value < 1 ? 0 : Math.min(BYTES.length - 1, Math.floor(Math.log2(value) / 10));
  const scaled = value / 2 ** (10 * step);
  return `${scaled >= 100 || step === 0 ? WHOLE.format(scaled) : scaled.toFixed(1)} ${BYTES[step] ?? 'B'}`;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Returns a length of time: `45 s`, `3 min`, `2 h 5 min`, `3 d 4 h`. */
export function duration(milliseconds: number): string {
  const span = Math.max(0, milliseconds);
  if (span < MINUTE) return `${String(Math.floor(span / SECOND))} s`;
  if (span < HOUR) return `${String(Math.floor(span / MINUTE))} min`;
  const [big, small, bigWord, smallWord] = span < DAY ? [HOUR, MINUTE, 'h', 'min'] : [DAY, HOUR, 'd', 'h'];
  const whole = Math.floor(span / big);
  const rest = Math.floor((span % big) / small);
  return rest === 0 ? `${String(whole)} ${bigWord}` : `${String(whole)} ${bigWord} ${String(rest)} ${smallWord}`;
}

/** Returns how far a moment is from now: `just now`, `3 min ago`, `in 2 h`. */
export function distance(moment: number, now: number): string {
  const span = now - moment;
  if (Math.abs(span) < 5 * SECOND) return 'just now';
  return span > 0 ? `${duration(span)} ago` : `in ${duration(-span)}`;
}

const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const SHORT = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** Returns date and time to the second. */
export function moment(at: string): string {
  return FULL.format(new Date(at));
}

/** Returns weekday, day and time. */
export function shortMoment(at: string, zone?: string): string {
  if (zone === undefined) return SHORT.format(new Date(at));
  return new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', timeZone: zone }).format(new Date(at));
}

/** Returns the time of day to the second. */
export function clock(at: string | number): string {
  return CLOCK.format(new Date(at));
}

/** Returns a name from a manifest or type as words: `fan_speed` becomes `Fan speed`. */
export function words(name: string): string {
  const spaced = name.replace(/[_-]+/g, ' ').trim();
  return spaced.slice(0, 1).toUpperCase() + spaced.slice(1);
}

import type { When } from '@/api/types';

/** When something runs, as it is being chosen. */
export interface Choice {
  kind: 'now' | 'once' | 'repeat';
  /** Local date and time, as `<input type="datetime-local">` has it. */
  at: string;
  rhythm: Rhythm;
  minutes: number;
  time: string;
  days: number[];
  dayOfMonth: number;
  cron: string;
  zone: string;
}

export type Rhythm = 'minutes' | 'hourly' | 'daily' | 'weekly' | 'monthly' | 'cron';

export const RHYTHMS: { value: Rhythm; label: string }[] = [
  { value: 'minutes', label: 'Every few minutes' },
  { value: 'hourly', label: 'Every hour' },
  { value: 'daily', label: 'Every day' },
  { value: 'weekly', label: 'On weekdays of your choice' },
  { value: 'monthly', label: 'Every month' },
  { value: 'cron', label: 'By a cron expression' },
];

/** Sunday is 0, as in cron; people begin with Monday. */
export const WEEKDAYS: { value: number; label: string }[] = [
  { value: 1, label: 'Mon' },
  { value: 2, label: 'Tue' },
  { value: 3, label: 'Wed' },
  { value: 4, label: 'Thu' },
  { value: 5, label: 'Fri' },
  { value: 6, label: 'Sat' },
  { value: 0, label: 'Sun' },
];

/** Minutes that divide the hour, so that the distance is always the same. */
export const MINUTES = [1, 2, 3, 5, 10, 15, 20, 30];

function two(value: number): string {
  return String(value).padStart(2, '0');
}

/** Returns a moment as `<input type="datetime-local">` has it. */
export function local(moment: Date): string {
  return `${String(moment.getFullYear())}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}T${two(moment.getHours())}:${two(moment.getMinutes())}`;
}

export function firstChoice(now: Date, zone: string): Choice {
  const later = new Date(now.getTime() + 3_600_000);
  later.setMinutes(0);
  return { kind: 'now', at: local(later), rhythm: 'daily', minutes: 15, time: '08:00', days: [1, 2, 3, 4, 5], dayOfMonth: 1, cron: '0 8 * * 1-5', zone };
}

function clock(time: string): string | undefined {
  const [, hours, minutes] = /^(\d{1,2}):(\d{2})/.exec(time) ?? [];
  return hours === undefined || minutes === undefined ? undefined : `${String(Number(minutes))} ${String(Number(hours))}`;
}

/** Returns the cron expression of a choice; undefined while something is missing. */
export function cron(choice: Choice): string | undefined {
  const at = clock(choice.time);
  switch (choice.rhythm) {
    case 'minutes':
      return choice.minutes === 1 ? '* * * * *' : `*/${String(choice.minutes)} * * * *`;
    case 'hourly':
      return '0 * * * *';
    case 'daily':
      return at && `${at} * * *`;
    case 'weekly':
      return at && choice.days.length > 0 ? `${at} * * ${[...choice.days].sort((one, other) => one - other).join(',')}` : undefined;
    case 'monthly':
      return at && `${at} ${String(choice.dayOfMonth)} * *`;
    case 'cron':
      return choice.cron.trim() === '' ? undefined : choice.cron.trim();
  }
}

/** Returns when something runs; undefined while something is missing. */
export function when(choice: Choice): When | undefined {
  switch (choice.kind) {
    case 'now':
      return { kind: 'now' };
    case 'once': {
      const moment = new Date(choice.at);
      return Number.isNaN(moment.getTime()) ? undefined : { kind: 'once', at: moment.toISOString() };
    }
    case 'repeat': {
      const expression = cron(choice);
      return expression === undefined ? undefined : { kind: 'cron', expression, zone: choice.zone };
    }
  }
}

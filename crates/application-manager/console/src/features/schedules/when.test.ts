import { describe, expect, it } from 'vitest';
import { cron, firstChoice, local, when, type Choice } from './when';

const first = firstChoice(new Date(2026, 0, 5, 9, 41), 'Europe/Berlin');

describe('when', () => {
  it('begins with now, and offers the next full hour but one', () => {
    expect(when(first)).toEqual({ kind: 'now' });
    expect(first.at).toBe('2026-01-05T10:00');
  });

  it('keeps a local moment', () => {
    const made = when({ ...first, kind: 'once' });
    expect(made?.kind === 'once' && local(new Date(made.at))).toBe('2026-01-05T10:00');
    expect(when({ ...first, kind: 'once', at: '' })).toBeUndefined();
  });

  it.each<[Partial<Choice>, string | undefined]>([
    [{ rhythm: 'minutes', minutes: 15 }, '*/15 * * * *'],
    [{ rhythm: 'minutes', minutes: 1 }, '* * * * *'],
    [{ rhythm: 'hourly' }, '0 * * * *'],
    [{ rhythm: 'daily', time: '07:05' }, '5 7 * * *'],
    [{ rhythm: 'daily', time: '' }, undefined],
    [{ rhythm: 'weekly', time: '18:30', days: [5, 1, 0] }, '30 18 * * 0,1,5'],
    [{ rhythm: 'weekly', days: [] }, undefined],
    [{ rhythm: 'monthly', time: '00:00', dayOfMonth: 28 }, '0 0 28 * *'],
    [{ rhythm: 'cron', cron: ' @daily ' }, '@daily'],
    [{ rhythm: 'cron', cron: ' ' }, undefined],
  ])('%j is %s', (choice, expected) => {
    expect(cron({ ...first, ...choice })).toBe(expected);
  });
});

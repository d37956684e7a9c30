import { describe, expect, it } from 'vitest';
import { bytes, distance, duration, many, shown, unit, words } from './format';

describe('formats', () => {
  it.each([
    [0, '0 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [3_600_000, '1 h'],
    [7_500_000, '2 h 5 min'],
    [86_400_000 * 3 + 3_600_000 * 4, '3 d 4 h'],
    [-5, '0 s'],
  ])('%d ms last %s', (milliseconds, expected) => {
    expect(duration(milliseconds)).toBe(expected);
  });

  it('says how far away a moment is', () => {
    expect(distance(1000, 2000)).toBe('just now');
    expect(distance(0, 180_000)).toBe('3 min ago');
    expect(distance(7_200_000, 0)).toBe('in 2 h');
  });

  it.each([
    [0, '0 B'],
    [1023, '1,023 B'],
    [1536, '1.5 KiB'],
    [300 * 1024 * 1024, '300 MiB'],
  ])('%d bytes are %s', (value, expected) => {
    expect(bytes(value)).toBe(expected);
  });

  it('writes units as people do', () => {
    expect(unit('Cel')).toBe('\u00a0°C');
    expect(unit('lx')).toBe('\u00a0lx');
    expect(unit(undefined)).toBe('');
  });

  it('writes values, counts and names', () => {
    expect(shown(true)).toBe('on');
    expect(shown({ level: 2 })).toBe('{"level":2}');
    expect(many(1, 'sensor')).toBe('1 sensor');
    expect(many(2, 'sensor')).toBe('2 sensors');
    expect(words('fan_speed')).toBe('Fan speed');
  });
});

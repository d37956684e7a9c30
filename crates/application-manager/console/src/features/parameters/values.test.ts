import { describe, expect, it } from 'vitest';
import type { Parameter } from '@/api/types';
import { initial, misfit, misfits, values } from './values';

const number: Parameter = { type: 'number', default: 24, minimum: -50, maximum: 100, unit: 'Cel' };
const choice: Parameter = { type: 'choice', choices: ['low', 'high'] };

describe('parameters', () => {
  it('begin with their defaults', () => {
    expect(initial({ number, choice, on: { type: 'boolean' }, text: { type: 'string' } })).toEqual({ number: 24, choice: '', on: false, text: '' });
  });

  it.each<[Parameter, string | number | boolean | undefined, string | undefined]>([
    [number, 24, undefined],
    [number, '', 'a number'],
    [number, -51, '-50\u00a0°C or more'],
    [number, 101, '100\u00a0°C or less'],
    [{ type: 'integer' }, 1.5, 'a whole number'],
    [choice, 'low', undefined],
    [choice, '', 'one of the choices'],
    [{ type: 'string' }, '', 'some text'],
    [{ type: 'string', default: '' }, '', undefined],
    [{ type: 'boolean' }, false, undefined],
  ])('%j with %j: %s', (parameter, value, expected) => {
    expect(misfit(parameter, value)).toBe(expected);
  });

  it('say all that is wrong at once, and keep only what is known', () => {
    expect(Object.keys(misfits({ number, choice }, { number: 200, choice: 'x' }))).toEqual(['number', 'choice']);
    expect(values({ number }, { number: 3, other: 4 })).toEqual({ number: 3 });
  });
});

import { describe, expect, it } from 'vitest';
import { problemFrom, problemOf } from './problem';

describe('problemFrom', () => {
  it('reads every misfit', () => {
    const problem = problemFrom(422, {
      type: 'invalid',
      detail: 'two things are wrong',
      errors: [{ path: 'slots.fan.min', found: '-1', allowed: '0 or more' }],
    });
    expect(problem).toMatchObject({ status: 422, kind: 'invalid', detail: 'two things are wrong' });
    expect(problem.misfits).toEqual([{ path: 'slots.fan.min', found: '-1', allowed: '0 or more' }]);
  });

  it.each([[undefined], ['<html>'], [null], [{}], [{ errors: 'x' }]])('makes words of %j', (body) => {
    expect(problemFrom(502, body).detail).toContain('502');
  });
});

describe('problemOf', () => {
  it('knows a lost connection', () => {
    expect(problemOf(new TypeError('Failed to fetch')).kind).toBe('unreachable');
  });

  it('does not take a fault of the console for a lost connection', () => {
    expect(problemOf(new TypeError("Cannot read properties of undefined (reading 'name')"))).toMatchObject({ kind: 'unknown', detail: expect.stringContaining('undefined') as string });
  });
});

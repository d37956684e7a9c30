import { describe, expect, it } from 'vitest';
import { asText, filter, join, type Line } from './lines';

function line(number: number, text = `line ${String(number)}`, stream: Line['stream'] = 'stdout'): Line {
  return { container: 'c', number, time: new Date(number * 1000).toISOString(), stream, text };
}

describe('lines', () => {
  it('are joined in order, each once', () => {
    const known = [line(1), line(3)];
    expect(join(known, [line(2), line(3), line(4)]).map(({ number }) => number)).toEqual([1, 2, 3, 4]);
    expect(join(known, [line(3)])).toBe(known);
  });

  it('are kept up to a number, the newest ones', () => {
    expect(join([line(1), line(2)], [line(3)], 2).map(({ number }) => number)).toEqual([2, 3]);
  });

  it('are found by text and stream', () => {
    const lines = [line(1, 'Fan ON'), line(2, 'boom', 'stderr')];
    expect(filter(lines, ' fan ', 'all')).toHaveLength(1);
    expect(filter(lines, '', 'stderr')).toHaveLength(1);
    expect(filter(lines, 'fan', 'stderr')).toHaveLength(0);
  });

  it('become a text file', () => {
    expect(asText([line(1, 'a'), line(2, 'b', 'platform')])).toBe('1970-01-01T00:00:01.000Z a\n1970-01-01T00:00:02.000Z [platform] b\n');
  });
});

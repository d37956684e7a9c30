import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Hub } from './hub';

/** Stands for the browser's EventSource; opens at once. */
class FakeSource {
  static open = new Set<FakeSource>();
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;

  constructor(readonly url: string) {
    FakeSource.open.add(this);
    queueMicrotask(() => this.onopen?.());
  }

  close(): void {
    FakeSource.open.delete(this);
  }

  static get only(): FakeSource {
    const [source] = FakeSource.open;
    if (FakeSource.open.size !== 1 || !source) throw new Error(`${String(FakeSource.open.size)} streams`);
    return source;
  }

  topics(): string[] {
    return decodeURIComponent(this.url.split('topics=')[1] ?? '').split(',');
  }

  tell(topic: string, data: unknown): void {
    this.onmessage?.({ data: JSON.stringify({ topic, data }) });
  }
}

const hubs: Hub[] = [];

function tab(): Hub {
  const hub = new Hub(() => undefined);
  hubs.push(hub);
  hub.start();
  return hub;
}

beforeEach(() => {
  FakeSource.open.clear();
  vi.stubGlobal('EventSource', FakeSource);
});

afterEach(() => {
  hubs.splice(0).forEach((hub) => {
    hub.stop();
  });
  vi.unstubAllGlobals();
});

describe('the tabs of one browser', () => {
  it('share one stream with the topics of all, and each hears what it watches', async () => {
    const heard: string[] = [];
    const [first, second] = [tab(), tab()];
    first.watch({ topics: ['instances'], event: (_, data) => heard.push(`first ${String(data)}`) });
    second.watch({ topics: ['readings:a'], event: (_, data) => heard.push(`second ${String(data)}`) });
    await vi.waitFor(() => {
      expect(FakeSource.only.topics()).toEqual(['instances', 'readings:a']);
      expect([first.connected, second.connected]).toEqual([true, true]);
    }, 5000);
    FakeSource.only.tell('instances', 1);
    FakeSource.only.tell('readings:a', 2);
    await vi.waitFor(() => {
      expect(heard.toSorted()).toEqual(['first 1', 'second 2']);
    });
  });

  it('take over at once when the leading tab is closed, and read again what they may have missed', async () => {
    let opened = 0;
    const [first, second] = [tab(), tab()];
    for (const hub of [first, second]) hub.watch({ topics: ['instances'], opened: () => (opened += 1) });
    await vi.waitFor(() => {
      expect(opened).toBe(2);
    }, 5000);
    const before = FakeSource.only;
    first.stop();
    await vi.waitFor(() => {
      expect(second.connected && FakeSource.open.size === 1).toBe(true);
    }, 5000);
    if (FakeSource.only !== before) expect(opened).toBe(3);
    second.stop();
    expect(FakeSource.open.size).toBe(0);
  });

  it('come back when the stream breaks', async () => {
    const hub = tab();
    hub.watch({ topics: ['health'] });
    await vi.waitFor(() => {
      expect(hub.connected).toBe(true);
    }, 5000);
    const broken = FakeSource.only;
    broken.onerror?.();
    expect(hub.connected).toBe(false);
    await vi.waitFor(() => {
      expect(FakeSource.only).not.toBe(broken);
      expect(hub.connected).toBe(true);
    }, 5000);
  });
});

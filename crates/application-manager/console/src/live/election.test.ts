import { describe, expect, it } from 'vitest';
import { PATIENCE_MS, decide, newTab, type Deed, type Happening, type Tab } from './election';

/** Runs tabs on one channel; every deed reaches all others at once. */
class Browser {
  tabs = new Map<string, Tab>();
  streams = new Set<string>();

  happen(id: string, happening: Happening): void {
    const before = this.tabs.get(id) ?? newTab(id);
    const { tab, deeds } = decide(before, happening);
    this.tabs.set(id, tab);
    for (const deed of deeds) this.do(id, deed);
  }

  private do(id: string, deed: Deed): void {
    const tab = this.tabs.get(id);
    if (deed === 'begin') this.streams.add(id);
    if (deed === 'end') this.streams.delete(id);
    for (const other of [...this.tabs.keys()].filter((known) => known !== id)) {
      if (deed === 'ask') this.happen(other, { kind: 'asked' });
      if (deed === 'announce' && tab) this.happen(other, { kind: 'leads', id, since: tab.since });
    }
  }

  tickAll(now: number): void {
    for (const id of [...this.tabs.keys()]) this.happen(id, { kind: 'tick', now });
  }
}

describe('the election', () => {
  it('makes one of several tabs the leader and keeps it', () => {
    const browser = new Browser();
    for (const id of ['a', 'b', 'c']) browser.happen(id, { kind: 'tick', now: 0 });
    for (let now = 0; now < 10_000; now += 400) browser.tickAll(now);
    expect([...browser.streams]).toHaveLength(1);
    const first = [...browser.streams];
    browser.happen('0', { kind: 'tick', now: 10_000 });
    browser.tickAll(10_000 + PATIENCE_MS);
    expect([...browser.streams]).toEqual(first);
  });

  it('replaces a leader that closes, and one that no longer answers', () => {
    const browser = new Browser();
    for (const id of ['a', 'b']) browser.happen(id, { kind: 'tick', now: 0 });
    browser.tickAll(PATIENCE_MS);
    const gone = [...browser.streams][0] ?? '';
    browser.tabs.delete(gone);
    browser.streams.delete(gone);
    browser.tickAll(20_000);
    expect(browser.streams.size).toBe(0);
    browser.tickAll(20_000 + PATIENCE_MS);
    expect(browser.streams.size).toBe(1);

    const third = 'z';
    browser.happen(third, { kind: 'tick', now: 30_000 });
    browser.happen(third, { kind: 'resigned', now: 30_001 });
    expect(browser.streams.size).toBe(1);
  });

  it('ends with one leader when two began at once', () => {
    const browser = new Browser();
    browser.happen('a', { kind: 'resigned', now: 5 });
    browser.happen('b', { kind: 'resigned', now: 5 });
    browser.tickAll(6);
    expect([...browser.streams]).toEqual(['a']);
  });
});

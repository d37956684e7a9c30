/**
 * Which tab holds the one event stream of this browser. Pure: events in, deeds out.
 *
 * Every tab asks "who leads?"; the leader answers. Timers of hidden tabs are slowed down by browsers, answers to
 * messages are not, so a leader is never asked to beat by itself. Who led first stays leader; equal by chance: the smaller id.
 */

/** What a tab is. */
export type Role = 'seeking' | 'following' | 'leading';

export interface Tab {
  id: string;
  role: Role;
  /** When this tab began to lead. */
  since: number;
  /** When this tab last asked without having heard an answer since. */
  asked: number | undefined;
}

export type Happening =
  | { kind: 'tick'; now: number }
  | { kind: 'asked' }
  | { kind: 'leads'; id: string; since: number }
  | { kind: 'resigned'; now: number };

export type Deed = 'ask' | 'announce' | 'begin' | 'end';

/** How long a known leader may take to answer. */
export const PATIENCE_MS = 1200;
/** How long a new tab waits for a leader that it does not know. */
export const FIRST_PATIENCE_MS = 350;

/** Returns how long the tab waits for an answer. */
export function patience(tab: Tab): number {
  return tab.role === 'seeking' ? FIRST_PATIENCE_MS : PATIENCE_MS;
}

export function newTab(id: string): Tab {
  return { id, role: 'seeking', since: 0, asked: undefined };
}

/** Decides what a tab becomes and does. */
export function decide(tab: Tab, happening: Happening): { tab: Tab; deeds: Deed[] } {
  switch (happening.kind) {
    case 'tick':
      return tick(tab, happening.now);
    case 'asked':
      return { tab, deeds: tab.role === 'leading' ? ['announce'] : [] };
    case 'leads':
      return heard(tab, happening.id, happening.since);
    case 'resigned':
      return tab.role === 'leading' ? { tab, deeds: [] } : lead(tab, happening.now);
  }
}

function tick(tab: Tab, now: number): { tab: Tab; deeds: Deed[] } {
  if (tab.role === 'leading') return { tab, deeds: ['announce'] };
  if (tab.asked === undefined) return { tab: { ...tab, asked: now }, deeds: ['ask'] };
  if (now - tab.asked < patience(tab)) return { tab, deeds: [] };
  return lead(tab, now);
}

function lead(tab: Tab, now: number): { tab: Tab; deeds: Deed[] } {
  return { tab: { ...tab, role: 'leading', since: now, asked: undefined }, deeds: ['begin', 'announce'] };
}

function heard(tab: Tab, id: string, since: number): { tab: Tab; deeds: Deed[] } {
  if (tab.role !== 'leading') return { tab: { ...tab, role: 'following', asked: undefined }, deeds: [] };
  const mine = tab.since < since || (tab.since === since && tab.id < id);
  if (mine) return { tab, deeds: ['announce'] };
  return { tab: { ...tab, role: 'following', asked: undefined }, deeds: ['end'] };
}

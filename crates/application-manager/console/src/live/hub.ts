import { newId } from '@/api/id';
import { decide, newTab, patience, type Deed, type Happening } from './election';
import { Stream } from './stream';
import { union, type Topic } from './topics';

/** What tabs of one browser say to each other. */
type Message =
  | { kind: 'ask' | 'want'; id: string; topics: string[] }
  | { kind: 'leads'; id: string; since: number; connected: boolean }
  | { kind: 'leave' | 'resign'; id: string }
  | { kind: 'event'; topic: string; data: unknown }
  | { kind: 'opened'; topics: string[] }
  | { kind: 'lost' }
  | { kind: 'session' };

/** What someone in this tab watches. */
export interface Watcher {
  topics: Topic[];
  event?: (topic: Topic, data: unknown) => void;
  /** What happened before was not told: read again. */
  opened?: () => void;
}

const TICK_MS = 4000;
/** Timers of hidden tabs may be minutes apart. */
const FORGET_MS = 180_000;

/** Live events for this tab, over the one stream that this browser's leading tab holds. */
export class Hub {
  private tab = newTab(newId());
  private channel: BroadcastChannel | undefined;
  private stream: Stream | undefined;
  private readonly watchers = new Set<Watcher>();
  private readonly others = new Map<string, { topics: string[]; at: number }>();
  private readonly statusListeners = new Set<() => void>();
  private ticking: ReturnType<typeof setInterval> | undefined;
  private recheck: ReturnType<typeof setTimeout> | undefined;
  private takeover: ReturnType<typeof setTimeout> | undefined;
  private told = '';
  connected = false;

  constructor(private readonly sessionChanged: () => void) {}

  /** Joins the tabs of this browser. */
  start(): void {
    if (this.channel) return;
    this.channel = new BroadcastChannel('iot-live');
    this.channel.onmessage = (event: MessageEvent<Message>) => {
      this.hear(event.data);
    };
    addEventListener('pagehide', this.stop);
    addEventListener('pageshow', this.resume);
    this.ticking = setInterval(this.tick, TICK_MS);
    this.tick();
  }

  /** Leaves; another tab takes over at once. */
  readonly stop = (): void => {
    if (!this.channel) return;
    this.say({ kind: this.tab.role === 'leading' ? 'resign' : 'leave', id: this.tab.id });
    clearInterval(this.ticking);
    clearTimeout(this.recheck);
    clearTimeout(this.takeover);
    removeEventListener('pagehide', this.stop);
    this.stream?.close();
    this.stream = undefined;
    this.channel.close();
    this.channel = undefined;
    this.others.clear();
    this.tab = newTab(this.tab.id);
    this.setConnected(false);
  };

  private readonly resume = (event: PageTransitionEvent): void => {
    if (event.persisted) this.start();
  };

  /** Watches until the returned function is called. */
  watch(watcher: Watcher): () => void {
    this.watchers.add(watcher);
    this.wantChanged();
    return () => {
      this.watchers.delete(watcher);
      this.wantChanged();
    };
  }

  /** Tells the other tabs that someone signed in or out. */
  tellSession(): void {
    const channel = this.channel ?? new BroadcastChannel('iot-live');
    channel.postMessage({ kind: 'session' } satisfies Message);
    if (channel !== this.channel) channel.close();
  }

  /** For `useSyncExternalStore`. */
  readonly onStatus = (listener: () => void): (() => void) => {
    this.statusListeners.add(listener);
    return () => this.statusListeners.delete(listener);
  };

  private readonly tick = (): void => {
    const now = Date.now();
    for (const [id, other] of this.others) if (now - other.at > FORGET_MS) this.others.delete(id);
    this.happen({ kind: 'tick', now });
  };

  private happen(happening: Happening): void {
    const { tab, deeds } = decide(this.tab, happening);
    this.tab = tab;
    deeds.forEach((deed) => {
      this.do(deed);
    });
  }

  private do(deed: Deed): void {
    switch (deed) {
      case 'ask':
        this.say({ kind: 'ask', id: this.tab.id, topics: this.own() });
        clearTimeout(this.recheck);
        this.recheck = setTimeout(this.tick, patience(this.tab) + 20 + Math.random() * 120);
        break;
      case 'announce':
        this.say({ kind: 'leads', id: this.tab.id, since: this.tab.since, connected: this.connected });
        break;
      case 'begin':
        this.stream = new Stream({ event: this.onEvent, opened: this.onOpened, lost: this.onLost });
        this.stream.want(this.all());
        break;
      case 'end':
        this.stream?.close();
        this.stream = undefined;
        this.say({ kind: 'want', id: this.tab.id, topics: this.own() });
        break;
    }
  }

  private hear(message: Message): void {
    switch (message.kind) {
      case 'ask':
      case 'want':
        this.others.set(message.id, { topics: message.topics, at: Date.now() });
        this.stream?.want(this.all());
        if (message.kind === 'ask') this.happen({ kind: 'asked' });
        break;
      case 'leads':
        clearTimeout(this.takeover);
        this.happen({ kind: 'leads', id: message.id, since: message.since });
        if (this.tab.role === 'following') this.setConnected(message.connected);
        break;
      case 'resign':
        this.others.delete(message.id);
        // A little apart, so that not every tab takes over at once.
        this.takeover = setTimeout(() => {
          this.happen({ kind: 'resigned', now: Date.now() });
        }, Math.random() * 100);
        break;
      case 'leave':
        this.others.delete(message.id);
        break;
      case 'session':
        this.sessionChanged();
        break;
      default:
        this.spread(message);
    }
  }

  private spread(message: Extract<Message, { kind: 'event' | 'opened' | 'lost' }>): void {
    if (message.kind === 'lost') {
      this.setConnected(false);
      return;
    }
    for (const watcher of [...this.watchers]) {
      if (message.kind === 'opened') {
        if (watcher.topics.some((topic) => message.topics.includes(topic))) watcher.opened?.();
      } else if ((watcher.topics as string[]).includes(message.topic)) {
        watcher.event?.(message.topic as Topic, message.data);
      }
    }
    this.setConnected(true);
  }

  private readonly onEvent = (topic: string, data: unknown): void => {
    this.relay({ kind: 'event', topic, data });
  };

  private readonly onOpened = (topics: string[]): void => {
    this.relay({ kind: 'opened', topics });
  };

  private readonly onLost = (): void => {
    this.relay({ kind: 'lost' });
    // The session may have ended.
    this.sessionChanged();
  };

  private relay(message: Extract<Message, { kind: 'event' | 'opened' | 'lost' }>): void {
    this.say(message);
    this.spread(message);
  }

  private say(message: Message): void {
    this.channel?.postMessage(message);
  }

  private own(): string[] {
    return union([...this.watchers].map((watcher) => watcher.topics));
  }

  private all(): string[] {
    return union([this.own(), ...[...this.others.values()].map((other) => other.topics)]);
  }

  private wantChanged(): void {
    const topics = this.own();
    if (topics.join() === this.told) return;
    this.told = topics.join();
    if (this.stream) this.stream.want(this.all());
    else this.say({ kind: 'want', id: this.tab.id, topics });
  }

  private setConnected(connected: boolean): void {
    if (this.connected === connected) return;
    this.connected = connected;
    this.statusListeners.forEach((listener) => {
      listener();
    });
  }
}

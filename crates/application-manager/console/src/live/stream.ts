import { serves } from './topics';

/** What the stream tells the hub of its tab. */
export interface StreamListener {
  /** Something happened. */
  event: (topic: string, data: unknown) => void;
  /** The stream is open; what happened before on these topics was not told. */
  opened: (fresh: string[]) => void;
  /** The stream broke; it comes back by itself. */
  lost: () => void;
}

const SETTLE_MS = 120;
/** The server says something every 15 s; one that is silent for so long is gone. */
const SILENCE_MS = 40_000;
const RETRY_MS = [1000, 2000, 5000, 10_000];

/** The one event stream of this browser. Topics are part of its address, so other topics mean another connection. */
export class Stream {
  private source: EventSource | undefined;
  private next: EventSource | undefined;
  private open: string[] = [];
  private wanted: string[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private opening: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;
  private closed = false;

  constructor(private readonly listener: StreamListener) {}

  /** Sets the topics. More topics are connected at once, fewer when the stream is next renewed. */
  want(topics: string[]): void {
    this.wanted = topics;
    if (!serves(this.open, topics)) this.connectIn(SETTLE_MS);
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    clearTimeout(this.opening);
    this.source?.close();
    this.next?.close();
  }

  private connectIn(milliseconds: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.connect();
    }, milliseconds);
  }

  /** Connects anew; the connection before stays until the new one stands, so that nothing is missed. */
  private connect(): void {
    if (this.closed || this.wanted.length === 0) return;
    const topics = this.wanted;
    this.next?.close();
    const source = new EventSource(`/api/v1/events?topics=${encodeURIComponent(topics.join(','))}`);
    this.next = source;
    clearTimeout(this.opening);
    this.opening = setTimeout(() => {
      if (source === this.next) this.failed(source);
    }, SILENCE_MS);
    source.onopen = () => {
      const known = this.source === source ? [] : this.open;
      if (this.source !== source) this.source?.close();
      this.source = source;
      this.next = undefined;
      this.open = topics;
      this.failures = 0;
      this.listenTo(source);
      this.listener.opened(topics.filter((topic) => !known.includes(topic)));
      if (!serves(this.open, this.wanted)) this.connectIn(SETTLE_MS);
    };
    source.onerror = () => {
      this.failed(source);
    };
    source.onmessage = (event: MessageEvent<string>) => {
      const { topic, data } = JSON.parse(event.data) as { topic: string; data: unknown };
      if (source === this.source) this.listenTo(source);
      if (topic !== 'beat') this.listener.event(topic, data);
    };
  }

  /** A host that is lost ends no connection: only its silence tells. */
  private listenTo(source: EventSource): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      if (source === this.source) this.failed(source);
    }, SILENCE_MS);
  }

  /** A broken connection is made anew by us, not by the browser: topics may have changed, and 401 must end it. */
  private failed(source: EventSource): void {
    source.close();
    if (source === this.next) this.next = undefined;
    if (source === this.source) {
      this.source = undefined;
      this.open = [];
    }
    if (this.source === undefined) this.listener.lost();
    const delay = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)] ?? 1000;
    this.failures += 1;
    this.connectIn(delay * (0.8 + Math.random() * 0.4));
  }
}

/** A board with a temperature sensor and a fan, at the other end of the line: it speaks HTTP with a connector's credential. */

import { setTimeout as pause } from 'node:timers/promises';

const EVERY_MS = 1000;
const WAIT_SECONDS = 25;
/** The platform may be away for a moment; a board goes on. */
const AGAIN_MS = 500;

export class Board {
  constructor({ ingestion, username, secret, sensor, device }) {
    this.ingestion = ingestion;
    this.authorization = `Basic ${Buffer.from(`${username}:${secret}`).toString('base64')}`;
    this.sensor = sensor;
    this.device = device;
    this.temperature = 21;
    this.sent = 0;
    this.fan = undefined;
    this.obeyed = [];
    this.troubles = [];
    this.ending = new AbortController();
  }

  async ask(path, body) {
    const answer = await fetch(this.ingestion + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: this.authorization, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: this.ending.signal,
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path} answered ${String(answer.status)}: ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  /** Begins to measure and to obey. */
  start() {
    this.boot = Math.floor(Date.now() / 1000);
    this.running = [this.repeat(() => this.measure()), this.repeat(() => this.obey())];
  }

  /** Ends both; says what did not work. */
  async stop() {
    this.ending.abort();
    await Promise.all(this.running ?? []);
    return this.troubles;
  }

  async repeat(act) {
    while (!this.ending.signal.aborted) {
      try {
        await act();
      } catch (error) {
        if (this.ending.signal.aborted) return;
        this.troubles.push(error.message);
        await this.rest(AGAIN_MS);
      }
    }
  }

  async rest(milliseconds) {
    await pause(milliseconds, undefined, { signal: this.ending.signal }).catch(() => undefined);
  }

  async measure() {
    const value = Number((this.temperature + 0.2 * Math.sin(this.sent / 5)).toFixed(2));
    const reading = { value, time: new Date().toISOString(), boot: this.boot, seq: this.sent };
    await this.ask(`/v1/sensors/${this.sensor}/readings`, reading);
    this.sent += 1;
    await this.rest(EVERY_MS);
  }

  async obey() {
    const commands = await this.ask(`/v1/devices/${this.device}/commands?wait=${String(WAIT_SECONDS)}`);
    for (const { id, command, arguments: values } of commands) {
      if (command === 'switch') this.fan = values.on;
      await this.ask(`/v1/devices/${this.device}/commands/${id}/state`, { ok: true, state: { on: this.fan } });
      this.obeyed.push({ command, values });
    }
  }

  /** Sends one reading that can not be true; returns how it was refused. */
  async lie(value) {
    return this.ask(`/v1/sensors/${this.sensor}/readings`, { value }).then(
      () => undefined,
      (error) => error.message,
    );
  }
}

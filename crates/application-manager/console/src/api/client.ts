import createClient, { type Middleware } from 'openapi-fetch';
import { newId } from './id';
import { Problem, problemFrom } from './problem';
import type { paths } from '@generated/schema';

/** Repeats are recognised by the platform: a request that is sent again after a lost answer does its work once. */
const idempotent: Middleware = {
  onRequest({ request }) {
    if (request.method === 'POST') request.headers.set('Idempotency-Key', newId());
    return request;
  },
};

export const api = createClient<paths>({ baseUrl: location.origin, credentials: 'same-origin' });
api.use(idempotent);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Returns the data of an answer, or throws the problem. */
export async function ask<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await answer;
  if (!response.ok) throw problemFrom(response.status, error);
  return data as T;
}

/** Makes a change hold only for the version that the person saw. */
export function seen(entity: { version: number }): Record<string, string> {
  return { 'If-Match': `"${String(entity.version)}"` };
}

/** What a 202 says. */
interface Accepted {
  operation: string;
  follow: string;
}

type Settled<T> = Exclude<T, Accepted>;

const FOLLOW_MS = 20_000;
const PAUSE_MS = 500;

function isAccepted(value: unknown): value is Accepted {
  return typeof value === 'object' && value !== null && 'operation' in value && 'follow' in value;
}

/**
 * Carries out a change and waits until the service that decides has answered. Returns the entity where the answer has
 * it; nothing when the change took longer than the request and the entity is to be read again.
 */
export async function change<T>(answer: Promise<Answer<T>>): Promise<Settled<T> | undefined> {
  const { data, error, response } = await answer;
  if (!response.ok) throw problemFrom(response.status, error);
  if (response.status !== 202 || !isAccepted(data)) return data as Settled<T>;
  await follow(data.operation);
  return undefined;
}

/** Waits for the end of an operation. */
async function follow(id: string): Promise<void> {
  const end = Date.now() + FOLLOW_MS;
  while (Date.now() < end) {
    await new Promise((wake) => setTimeout(wake, PAUSE_MS));
    const operation = await ask(api.GET('/api/v1/operations/{id}', { params: { path: { id } } }));
    if (operation.state === 'done') return;
    if (operation.state === 'refused') throw new Problem(409, 'refused', operation.detail ?? 'the platform refused it');
  }
  throw new Problem(0, 'slow', 'it was accepted but is not done yet; it is carried out as soon as the service that does it is back');
}

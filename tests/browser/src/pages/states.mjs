/** States of pages, made at the browser: the platform itself is left alone. */

/** Who is signed in, and the stream, stay as they are: without them there is no page. */
const UNTOUCHED = /\/api\/v1\/(session|events)\b/;

const BROKEN = {
  status: 500,
  contentType: 'application/problem+json',
  body: JSON.stringify({ type: 'internal', title: 'internal error', status: 500, detail: 'the database does not answer; try again in a moment' }),
};

const notYet = { state: 'requested', why: '', binding: null, parameters: {}, started: null, ended: null, endpoints: 0, restarts: 0 };

/** What is left of an answer where there is nothing yet, by address. */
const NOTHING = [
  [/\/instances\/[^/]+\/readings$/, ({ slots }) => ({ slots: Object.fromEntries(Object.keys(slots).map((slot) => [slot, []])) })],
  [/\/sensors\/[^/]+\/readings$/, (readings) => ({ ...readings, points: [] })],
  [/\/health$/, (health) => ({ ...health, services: [], hosts: [], components: [], recoveries: [], dead_letters: 0 })],
  [/\/instances\/[^/]+$/, (instance) => ({ ...instance, ...notYet })],
  [/\/sensors\/[^/]+$/, (sensor) => ({ ...sensor, last: null, signal: 'never' })],
  [/\/devices\/[^/]+$/, (device) => ({ ...device, reported: {}, reported_at: null, last_command: null })],
  [/\/connectors\/[^/]+$/, (connector) => ({ ...connector, sensors: [], devices: [] })],
  [/\/schedules\/[^/]+$/, (schedule) => ({ ...schedule, recent_skips: [], skipped: 0, parameters: {}, last: null })],
  [/\/applications\/[^/]+\/versions\/[^/]+$/, (version) => ({ ...version, manifest: { ...version.manifest, parameters: {}, slots: {} } })],
];

function emptied(path, body) {
  if (Array.isArray(body?.items)) return { ...body, items: [], next: null };
  const [, rule] = NOTHING.find(([address]) => address.test(path)) ?? [];
  return rule ? rule(body) : body;
}

/**
 * What the platform answers. It closes a connection that was idle for ten seconds; where that meets a request on its way, browsers send
 * it again, and so does this.
 */
const answered = (route) => route.fetch({ maxRetries: 2 });

async function empty(route) {
  const answer = await answered(route);
  const { pathname } = new URL(route.request().url());
  if (!answer.ok() || route.request().method() !== 'GET') return route.fulfill({ response: answer });
  return route.fulfill({ response: answer, json: emptied(pathname, await answer.json()) });
}

const HANDLERS = {
  full: undefined,
  loading: () => undefined,
  error: (route) => route.fulfill(BROKEN),
  empty,
};

/** Notifications that happen to come would lie over the page. */
function silenced(route) {
  const url = new URL(route.request().url());
  const topics = url.searchParams.get('topics').split(',').filter((topic) => topic !== 'notifications');
  url.searchParams.set('topics', topics.join(','));
  return route.continue({ url: url.href });
}

/** A page that closes takes its requests with it. */
const calmly = (handle) => async (route) => {
  try {
    await handle(route);
  } catch (error) {
    if (!/closed|disposed|already handled|Test ended/i.test(error.message)) throw error;
  }
};

/** Puts a tab into the state in which a page is to be seen. */
export async function impose(page, { state, alter }) {
  const handle = HANDLERS[state];
  await page.route((url) => url.pathname === '/api/v1/events', calmly(silenced));
  if (handle) await page.route((url) => url.pathname.startsWith('/api/v1/') && !UNTOUCHED.test(url.pathname), calmly(handle));
  for (const [address, change] of alter ?? []) {
    await page.route(
      (url) => address.test(url.pathname),
      calmly(async (route) => {
        if (typeof change !== 'function') return route.fulfill(change);
        const answer = await answered(route);
        return route.fulfill({ response: answer, json: change(await answer.json()) });
      }),
    );
  }
}

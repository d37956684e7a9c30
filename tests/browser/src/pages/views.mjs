/** What pages show when something is done with them: dialogues, steps, answers; and the pages before someone is inside. */

import { choosePlace, settled } from './routes.mjs';

const at = (path) => () => path;
const button = (page, name) => page.getByRole('button', { name, exact: true }).first();
const press = (name) => (page) => button(page, name).click();
const dialog = (page) => page.getByRole('dialog').first();

const opens = (name, also) => async (page) => {
  await press(name)(page);
  await dialog(page).waitFor();
  if (also) await also(dialog(page), page);
};

async function wizard(page, stock, steps) {
  await choosePlace(page, stock);
  for (let step = 0; step < steps; step += 1) await press('Go on')(page);
}

async function again(page, stock) {
  await wizard(page, stock, 2);
  await page.getByRole('radio', { name: 'Again and again' }).click();
  await page.getByRole('list', { name: 'next runs' }).waitFor();
}

async function refusedUpload(page) {
  const file = { name: 'holiday.zip', mimeType: 'application/zip', buffer: Buffer.from('a picture, not a zip') };
  await page.locator('input[type=file]').setInputFiles(file);
  await page.getByRole('alert', { name: 'validation report' }).waitFor();
}

async function wrongPassword(page) {
  await page.getByLabel('Name').fill('nobody');
  await page.getByLabel('Password', { exact: true }).fill('not the password');
  await press('Sign in')(page);
  await page.getByRole('alert').waitFor();
}

const tab = (name) => async (page) => {
  await page.getByRole('tab', { name }).click();
  await settled(page);
};

async function buildLog(page) {
  await press('Build log')(page);
  await page.getByRole('log').locator('time').first().waitFor();
}

async function palette(page) {
  await page.getByRole('button', { name: 'search', exact: true }).click();
  await page.getByRole('textbox', { name: 'search' }).or(page.getByPlaceholder('Search or jump to…')).last().fill('a');
}

const instance = ({ instance: id }) => `/instances/${id}`;
const ONE_INSTANCE = /^\/api\/v1\/instances\/[^/]+$/;
const missing = [
  { slot: 'temperature', kind: 'sensor', type: 'temperature', need: 1, have: 0, place: 'Demo building / Laboratory' },
  { slot: 'fan', kind: 'device', type: 'fan', need: 1, have: 0, place: 'Demo building / Laboratory' },
];
const waiting = (body) => ({ ...body, state: 'waiting', why: 'sensors or devices are missing', missing, binding: null, started: null, endpoints: 0 });
const failing = (body) => ({ ...body, state: 'failing', why: 'it ended with exit code 1', restarts: 4, next_try: new Date(Date.now() + 30_000).toISOString() });
const failed = (body) => ({ ...body, state: 'failed', why: 'the application ended by itself', exit_code: 3, ended: new Date().toISOString(), endpoints: 0 });

const SESSION = /^\/api\/v1\/session$/;
const once = { user: { id: '', name: 'ada', title: 'Ada Lovelace', roles: ['end_user'], version: 1 }, password_change_required: true };
const title = (name) => async (page) => page.getByRole('heading', { level: 1, name }).waitFor();

export const VIEWS = [
  { name: 'sign-in', path: at('/'), outside: true, arrived: title('Sign in') },
  { name: 'sign-in-refused', path: at('/'), outside: true, arrived: title('Sign in'), act: wrongPassword },
  { name: 'choose-password', path: at('/'), outside: true, arrived: title('Choose your password'), alter: [[SESSION, { json: once }]] },
  { name: 'session-loading', path: at('/'), outside: true, alter: [[SESSION, { status: 503, body: '' }]], arrived: (page) => page.getByRole('status', { name: 'loading' }).waitFor() },
  { name: 'session-error', path: at('/'), outside: true, alter: [[SESSION, { status: 503, body: '' }]], arrived: (page) => page.getByRole('alert').waitFor() },
  { name: 'not-found', path: at('/no/such/page'), title: 'Not found' },
  { name: 'thing-not-found', path: at('/sensors/00000000-0000-7000-8000-000000000000'), title: 'Not found' },
  { name: 'navigation', path: at('/'), title: /^Hello, /, widths: [390], act: opens('open navigation') },
  { name: 'palette', path: at('/'), title: /^Hello, /, act: palette },
  { name: 'account-menu', path: at('/'), title: /^Hello, /, act: async (page) => page.getByRole('button', { name: 'account of' }).click() },
  { name: 'upload-refused', path: at('/applications/upload'), title: 'Upload an application', act: refusedUpload },
  { name: 'run-parameters', path: ({ application }) => `/applications/${application}/run`, title: /^Run /, act: (page, stock) => wizard(page, stock, 1) },
  { name: 'run-time', path: ({ application }) => `/applications/${application}/run`, title: /^Run /, act: again },
  { name: 'run-last-step', path: ({ application }) => `/applications/${application}/run`, title: /^Run /, act: (page, stock) => wizard(page, stock, 3) },
  { name: 'instance-notifications', path: instance, show: '[role=tablist]', act: tab('Notifications') },
  { name: 'instance-commands', path: instance, show: '[role=tablist]', act: tab('Device commands') },
  { name: 'instance-waiting', path: instance, alter: [[ONE_INSTANCE, waiting]] },
  { name: 'instance-failing', path: instance, alter: [[ONE_INSTANCE, failing]] },
  { name: 'instance-failed', path: instance, alter: [[ONE_INSTANCE, failed]] },
  { name: 'build-log', path: ({ application }) => `/applications/${application}`, show: '[aria-label=Versions]', act: buildLog },
  { name: 'register-sensor', path: at('/sensors'), title: 'Sensors', act: opens('Register a sensor') },
  { name: 'register-device', path: at('/devices'), title: 'Devices', act: opens('Register a device') },
  { name: 'change-sensor', path: ({ sensor }) => `/sensors/${sensor}`, act: opens('Change') },
  { name: 'question', path: ({ sensor }) => `/sensors/${sensor}`, act: opens('Delete') },
  { name: 'new-connector', path: at('/connectors'), title: 'Connectors', act: opens('New connector') },
  { name: 'new-location', path: at('/locations'), title: 'Locations', act: opens('New location') },
  { name: 'new-type-of-sensors', path: at('/types'), title: 'Types', act: opens('New type') },
  { name: 'new-type-of-devices', path: at('/types'), title: 'Types', act: opens('New type', (it) => it.getByRole('radio', { name: 'Of devices' }).click()) },
  { name: 'type-of-devices', path: ({ deviceType }) => `/types/${deviceType}` },
  { name: 'new-user', path: at('/users'), title: 'Users', act: opens('New user') },
];

/** Types, a sensor with the board that carries it, and a fan. */

import { Board } from '../board.mjs';
import { choose, goTo, open } from './go.mjs';

export async function ensureTypes({ page, see }) {
  await goTo(page, 'Types');
  const list = page.getByRole('table', { name: 'types' });
  await list.or(page.getByText('No types yet')).first().waitFor();
  const missing = async (name) => (await list.getByRole('cell', { name, exact: true }).count()) === 0;
  if (await missing('temperature')) await makeTemperature(page);
  await goTo(page, 'Types');
  await list.waitFor();
  if (await missing('fan')) await makeFan(page);
  await goTo(page, 'Types');
  await list.getByRole('cell', { name: 'fan', exact: true }).waitFor();
  await see('types');
}

async function newType(page, title) {
  await page.getByRole('button', { name: 'New type' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'New type' });
  await dialog.getByLabel('Title').fill(title);
  return dialog;
}

async function created(page, dialog, title) {
  await dialog.getByRole('button', { name: 'Create type' }).click();
  await page.getByRole('heading', { level: 1, name: title, exact: true }).waitFor();
}

async function makeTemperature(page) {
  const dialog = await newType(page, 'Temperature');
  await dialog.getByRole('textbox', { name: 'Measures' }).fill('Temperature');
  await dialog.getByLabel('Unit').fill('Cel');
  await dialog.getByLabel('From').fill('-50');
  await dialog.getByLabel('To', { exact: true }).fill('100');
  await created(page, dialog, 'Temperature');
}

async function makeFan(page) {
  const dialog = await newType(page, 'Fan');
  await dialog.getByRole('radio', { name: 'Of devices' }).click();
  await dialog.getByRole('textbox', { name: 'Can do' }).fill('Switch');
  await dialog.getByRole('button', { name: 'Add a value that it takes' }).click();
  await dialog.getByRole('textbox', { name: 'With' }).fill('On');
  await created(page, dialog, 'Fan');
}

/** Fills in what a sensor and a device have in common. */
async function register(page, kind, { name, type, location, connector }) {
  await page.getByRole('button', { name: `Register a ${kind}` }).first().click();
  const dialog = page.getByRole('dialog', { name: `Register a ${kind}` });
  await dialog.getByLabel('Name', { exact: true }).fill(name);
  await choose(page, dialog, 'Type', type);
  await dialog.getByRole('combobox', { name: 'Location', exact: true }).fill(location);
  await page.getByRole('option', { name: location, exact: true }).click();
  await choose(page, dialog, 'Connector', connector);
  return dialog;
}

/** Takes from the snippet what a board must know, as someone does who pastes it. */
function read(snippet) {
  const found = {
    credential: /-u (\S+?):(\S+)/.exec(snippet),
    message: /-d '([^']+)'/.exec(snippet),
    url: /https?:\/\/\S+\/v1\/sensors\/([^/\s]+)\/readings/.exec(snippet),
  };
  const lacking = Object.keys(found).filter((part) => found[part] === null);
  if (lacking.length > 0) throw new Error(`the snippet has no ${lacking.join(', no ')}: ${snippet}`);
  const [, username, secret] = found.credential;
  return { username, secret, message: found.message[1], sensor: found.url[1], origin: new URL(found.url[0]).origin };
}

async function copySnippet(page, dialog) {
  await dialog.getByText('Copy the secret now').waitFor();
  await dialog.getByRole('tab', { name: 'Send a reading (HTTP)' }).click();
  await dialog.getByRole('button', { name: 'copy shell' }).click();
  await dialog.getByRole('button', { name: 'copied', exact: true }).waitFor();
  return page.evaluate(() => navigator.clipboard.readText());
}

export async function registerSensor(walker) {
  const { page, see, names, it } = walker;
  await goTo(page, 'Sensors');
  const location = `${names.house} / ${names.room}`;
  const dialog = await register(page, 'sensor', { name: names.sensor, type: 'Temperature', location, connector: '＋ New connector' });
  await dialog.getByLabel('Name of the connector').fill(names.board);
  await dialog.getByRole('button', { name: 'Register', exact: true }).click();
  const { message, origin, ...known } = read(await copySnippet(page, dialog));
  await see('registered sensor');
  walker.board = new Board({ ingestion: it.ingestion ?? origin, ...known });
  await walker.board.ask(`/v1/sensors/${known.sensor}/readings`, JSON.parse(message));
  await dialog.getByText('The first reading has arrived').waitFor();
  await dialog.getByRole('button', { name: 'I have copied it' }).click();
  await page.getByRole('heading', { level: 1, name: names.sensor }).waitFor();
  await page.getByText('Live', { exact: true }).first().waitFor();
  await see('sensor');
  await goTo(page, 'Sensors');
  await page.getByRole('row', { name: names.sensor }).getByText('°C').waitFor();
  await see('sensors');
}

export async function secretIsGone({ page, see, names, board }) {
  await open(page, 'Connectors', names.board);
  await page.getByRole('table', { name: 'sensors' }).getByText(names.sensor).waitFor();
  const secret = Buffer.from(board.authorization.slice('Basic '.length), 'base64').toString().split(':')[1];
  if ((await page.content()).includes(secret)) throw new Error('the page of the connector still shows its secret');
  await see('connector');
}

export async function registerFan({ page, see, names, board }) {
  await goTo(page, 'Devices');
  const location = `${names.house} / ${names.room}`;
  const dialog = await register(page, 'device', { name: names.fan, type: 'Fan', location, connector: `${names.board} (${location})` });
  await dialog.getByRole('button', { name: 'Register', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: names.fan }).waitFor();
  board.device = new URL(page.url()).pathname.split('/').at(-1);
  await see('device');
}

/** A person has the fan do something; the application did before. */
export async function commandByHand({ page, see, names }) {
  await open(page, 'Devices', names.fan);
  await page.getByRole('region', { name: 'Have it do something' }).getByRole('button', { name: 'Switch' }).click();
  const own = page.getByRole('table', { name: 'commands' }).getByRole('row').filter({ hasText: 'Administrator' });
  await own.getByText('Done', { exact: true }).first().waitFor();
  await page.getByRole('region', { name: 'State' }).getByText('off', { exact: true }).waitFor();
  await see('device with commands');
}

export async function refusedReading({ page, see, names, board }) {
  const refusal = await board.lie(400);
  if (refusal === undefined) throw new Error('400 °C were taken');
  await goTo(page, 'Refused readings');
  await page.getByRole('row').filter({ hasText: names.sensor }).first().getByText('400').first().waitFor();
  await see('refused readings');
}

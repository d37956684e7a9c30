/** A run, as it is watched and ended. */

import { goTo, open } from './go.mjs';

const START_MS = 120_000;
/** From a reading to what the application makes of it. */
const EFFECT_MS = 30_000;

const COMFORTABLE = 21.5;
const WARM = 24.5;
const TOO_WARM = 27.5;

export async function seeRunning({ page, see }) {
  const state = page.getByRole('main').getByRole('heading', { level: 1 }).locator('..');
  const ended = page.getByText(/^It (ended in error|keeps ending)$/);
  await state.getByText('Running', { exact: true }).or(ended).first().waitFor({ timeout: START_MS });
  if (await ended.count()) throw new Error(`it does not run: ${await ended.locator('../..').innerText()}`);
  await page.getByRole('region', { name: 'Bound to' }).getByRole('table').waitFor();
  await see('instance');
}

/** Counts the pixels of the first line of a chart. */
function drawn(figure) {
  const canvas = figure.querySelector('canvas');
  const probe = document.createElement('canvas').getContext('2d');
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--line-1').trim();
  probe.fillRect(0, 0, 1, 1);
  const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    const far = Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue);
    if (far < 24 && data[at + 3] > 200) count += 1;
  }
  return count;
}

export async function seeLive({ page, see, board }) {
  board.temperature = COMFORTABLE;
  board.start();
  const readings = page.getByRole('region', { name: 'Readings' });
  // Nothing is loaded again in between: each value comes by the stream.
  for (const temperature of [COMFORTABLE, WARM, TOO_WARM]) {
    board.temperature = temperature;
    await readings.getByText(new RegExp(`^${String(Math.floor(temperature))}\\.\\d+\\s°C$`)).waitFor();
  }
  const pixels = await readings.getByRole('figure').first().evaluate(drawn);
  if (pixels < 10) throw new Error(`the chart shows no line: ${String(pixels)} pixels`);
  await see('instance with readings');
}

export async function seeCommand({ page, see, names, board }) {
  await page.getByRole('tab', { name: 'Device commands' }).click();
  const row = page.getByRole('row').filter({ hasText: names.fan }).filter({ hasText: 'On: yes' });
  await row.getByText('Done', { exact: true }).waitFor({ timeout: EFFECT_MS });
  if (board.fan !== true) throw new Error(`the console says that the fan was switched; the fan says ${String(board.fan)}`);
  await see('commands of an instance');
}

export async function seeNotification({ page, see, names }) {
  await page.getByRole('tab', { name: 'Notifications' }).click();
  const panel = page.getByRole('tabpanel', { name: 'Notifications' });
  await panel.getByText(`${names.sensor} is too warm`).waitFor({ timeout: EFFECT_MS });
  await see('notifications of an instance');
  await goTo(page, 'Notifications');
  const entry = page.getByRole('listitem').filter({ hasText: `${names.sensor} is too warm` });
  await entry.getByText('Warning').waitFor();
  await see('notifications');
}

export async function findInLog({ page, see, names }) {
  await open(page, 'Instances', names.instance);
  const log = page.getByRole('log');
  await log.getByText(/watching /).first().waitFor();
  await page.getByLabel('search in the log').fill('fan on');
  await log.getByText(/watching /).waitFor({ state: 'detached' });
  await log.getByText(/fan on at /).first().waitFor();
  await page.getByText(/^\d+ of \d+ lines$|^1 lines?$/).waitFor();
  await see('log of an instance');
}

export async function openPage({ window, page, see, names, it }) {
  const [own] = await Promise.all([window.waitForEvent('page'), page.getByRole('button', { name: 'Open page' }).click()]);
  await own.waitForURL(/^https?:/);
  if (new URL(own.url()).origin === new URL(it.base).origin) throw new Error(`the page is at the console's origin: ${own.url()}`);
  await own.getByRole('heading', { name: 'Room comfort' }).waitFor();
  await own.getByRole('status').getByText('live', { exact: true }).waitFor();
  await own.getByRole('row').filter({ hasText: names.sensor }).getByText(/^27\.\d °C$/).first().waitFor();
  await see('page of the application', own);
  await own.close();
}

export async function stop({ page, see, names }) {
  await open(page, 'Instances', names.instance);
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  const question = page.getByRole('dialog', { name: `Stop ${names.instance}?` });
  await see('question before stopping');
  await question.getByRole('button', { name: 'Stop', exact: true }).click();
  const state = page.getByRole('main').getByRole('heading', { level: 1 }).locator('..');
  await state.getByText('Stopped', { exact: true }).waitFor({ timeout: START_MS });
  await page.getByRole('button', { name: 'Stop', exact: true }).waitFor({ state: 'hidden' });
  await see('stopped instance');
  await goTo(page, 'Instances');
  await page.getByRole('row').filter({ hasText: names.instance }).getByText('Stopped').waitFor();
  await see('instances');
}

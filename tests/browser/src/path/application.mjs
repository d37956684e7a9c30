/** From a zip to a run. */

import { renamed } from '../bundle.mjs';
import { choose, goTo, open } from './go.mjs';

/** Images are built from packages of the network; the first takes longest. */
const BUILD_MS = 300_000;

async function chooseFile(page, name, buffer) {
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.getByRole('button', { name: 'Choose the zip' }).click()]);
  await chooser.setFiles({ name, mimeType: 'application/zip', buffer });
}

async function goToUpload(page) {
  await goTo(page, 'Applications');
  await page.getByRole('link', { name: 'Upload', exact: true }).first().click();
  await page.getByRole('heading', { level: 1, name: 'Upload an application' }).waitFor();
}

export async function refuse({ page, see }) {
  await goToUpload(page);
  await chooseFile(page, 'holiday.zip', Buffer.from('a picture, not a zip'));
  const report = page.getByRole('alert', { name: 'validation report' });
  await report.getByText('holiday.zip was not accepted').waitFor();
  await report.getByText('found', { exact: true }).first().waitFor();
  await see('validation report');
}

/** A slow line, so that there is something to see of an upload of a few kilobytes. */
async function onSlowLine(page, act) {
  const line = await page.context().newCDPSession(page);
  const limit = (latency, uploadThroughput) => line.send('Network.emulateNetworkConditions', { offline: false, latency, downloadThroughput: -1, uploadThroughput });
  await line.send('Network.enable');
  await limit(500, 4000);
  try {
    await act();
  } finally {
    await limit(0, -1);
    await line.detach();
  }
}

export async function upload({ page, see, names, it }) {
  await goToUpload(page);
  await page.getByLabel('Everyone').check();
  const bundle = await renamed(it.bundle, names.application, names.title);
  await onSlowLine(page, async () => {
    await chooseFile(page, `${names.application}.zip`, bundle);
    await page.getByRole('progressbar', { name: 'upload' }).waitFor();
  });
  await page.getByRole('heading', { level: 1, name: names.title }).waitFor();
  await seeBuild(page);
  const versions = page.getByRole('region', { name: 'Versions' });
  await versions.getByText('Ready', { exact: true }).or(versions.getByText('Build failed')).first().waitFor({ timeout: BUILD_MS });
  if (await versions.getByText('Build failed').count()) throw new Error(`the build failed: ${await versions.innerText()}`);
  await see('application');
}

/** The log of a build is open while it is built; afterwards it is a click away. */
async function seeBuild(page) {
  const log = page.getByRole('log');
  const toggle = page.getByRole('button', { name: 'Build log', exact: true });
  await log.or(toggle).first().waitFor();
  if (await toggle.count()) await toggle.click();
  await log.locator('time').first().waitFor({ timeout: BUILD_MS });
}

/** Chooses the place: one where something is missing first, then the one that fits. */
async function choosePlace({ page, see, names }) {
  const tree = page.getByRole('tree', { name: 'place' });
  await tree.getByText(names.attic, { exact: true }).click();
  await page.getByText('There is no temperature sensor here.').waitFor();
  await page.getByText('There is no fan here.').waitFor();
  await see('run: a place where something is missing');
  await tree.getByText(names.room, { exact: true }).click();
  const where = page.getByRole('region', { name: 'Where' });
  await where.getByText(names.sensor, { exact: true }).waitFor();
  await where.getByText(names.fan, { exact: true }).waitFor();
  await see('run: a place that fits');
}

const goOn = (page) => page.getByRole('button', { name: 'Go on' }).click();

async function wizard(walker) {
  const { page, names } = walker;
  await open(page, 'Applications', names.title);
  await page.getByRole('main').getByRole('link', { name: 'Run', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: `Run ${names.title}` }).waitFor();
  await choosePlace(walker);
  await goOn(page);
}

/** Asks for a rhythm: it is said in words, with the next five runs. */
async function again(page, rhythm) {
  await page.getByRole('radio', { name: 'Again and again' }).click();
  await choose(page, page, 'Rhythm', rhythm);
  await page.getByText(/^It runs .+\.$/).waitFor();
  await page.getByRole('list', { name: 'next runs' }).getByRole('listitem').nth(4).waitFor();
}

export async function run(walker) {
  const { page, see, names } = walker;
  await wizard(walker);
  await page.getByLabel('Notify above').fill('25.5');
  await see('run: parameters');
  await goOn(page);
  await again(page, 'Every day');
  await see('run: time');
  await page.getByRole('radio', { name: 'Now' }).click();
  await goOn(page);
  await page.getByLabel('What you call it').fill(names.instance);
  await see('run: last step');
  await page.getByRole('button', { name: 'Run now' }).click();
  await page.getByRole('heading', { level: 1, name: names.instance }).waitFor();
}

export async function schedule(walker) {
  const { page, see, names } = walker;
  await wizard(walker);
  await goOn(page);
  await again(page, 'Every month');
  await goOn(page);
  await page.getByLabel('What you call it').fill(`Monthly ${names.mark}`);
  await page.getByRole('button', { name: 'Schedule it' }).click();
  await page.getByRole('heading', { level: 1, name: `Monthly ${names.mark}` }).waitFor();
  await page.getByText('Active', { exact: true }).waitFor();
  await see('schedule');
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByText('Paused', { exact: true }).waitFor();
  await goTo(page, 'Schedules');
  await page.getByRole('row', { name: `Monthly ${names.mark}` }).getByText('Paused').waitFor();
  await see('schedules');
}

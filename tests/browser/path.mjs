/**
 * The whole path as a person does it in the console: from an empty place to a running application and back to a device.
 * Whoever sits at the other end of the line, a board with a sensor and a fan, is played here too.
 */

import { launch, openWindow, signIn } from './src/browser.mjs';
import { look } from './src/look.mjs';
import { upload, refuse, run, schedule } from './src/path/application.mjs';
import { findInLog, openPage, seeCommand, seeLive, seeNotification, seeRunning, stop } from './src/path/instance.mjs';
import { makePlaces } from './src/path/places.mjs';
import { commandByHand, ensureTypes, refusedReading, registerFan, registerSensor, secretIsGone } from './src/path/things.mjs';
import { settings } from './src/settings.mjs';
import { Steps } from './src/steps.mjs';

function namesOf(mark) {
  return {
    mark,
    house: `House ${mark}`,
    room: `Room ${mark}`,
    attic: `Attic ${mark}`,
    board: `Board ${mark}`,
    sensor: `Window ${mark}`,
    fan: `Fan ${mark}`,
    application: `room-comfort-${mark}`,
    title: `Room comfort ${mark}`,
    instance: `Comfort ${mark}`,
  };
}

async function walk(walker) {
  const { steps, page, it } = walker;
  const step = (name, act) => steps.step(name, () => act(walker));
  await step('sign in', () => signIn(page, it));
  await step('make a house with a room and an attic', makePlaces);
  await step('make the types that are missing', ensureTypes);
  await step('register a sensor with its board; the first reading arrives', registerSensor);
  await step('the secret was shown once', secretIsGone);
  await step('register a fan', registerFan);
  await step('a file that is no bundle is refused with a report', refuse);
  await step('upload the bundle; its build can be read; it is ready', upload);
  await step('run it: place, parameters, time', run);
  await step('it is running', seeRunning);
  await step('readings are drawn as they come', seeLive);
  await step('the fan was switched and has answered', seeCommand);
  await step('a notification says that it is too warm', seeNotification);
  await step('a line of the log is found', findInLog);
  await step('the page of the application, at an origin of its own', openPage);
  await step('switch the fan by hand', commandByHand);
  await step('a reading that can not be true is refused and shown', refusedReading);
  await step('stop it', stop);
  await step('schedule it again and again, then pause that', schedule);
  await step('sign out', signOut);
}

async function signOut({ page }) {
  await page.getByRole('button', { name: 'account of' }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
}

const it = settings('BASE', 'ADMIN_PASSWORD', 'BUNDLE');
const faults = [];
const browser = await launch(it);
const window = await openWindow(browser, { base: it.base, faults });
const page = await window.newPage();
const steps = new Steps({ out: it.out, window });
const looked = new Set();
const see = async (name, where = page) => {
  if (looked.has(name)) return;
  looked.add(name);
  faults.push(...(await look(where)).map((fault) => `${name}: ${fault}`));
};
const mark = (Date.now() % 36 ** 5).toString(36).padStart(5, '0');
const walker = { it, window, page, steps, see, names: namesOf(mark), board: undefined };
let failed;
try {
  await walk(walker);
} catch (error) {
  failed = error;
}
const troubles = (await walker.board?.stop()) ?? [];
await browser.close();
if (failed) console.error(`\n${failed.stack ?? failed.message}`);
if (failed && troubles.length > 0) console.error(`\nthe board had trouble:\n${troubles.join('\n')}`);
if (faults.length > 0) console.error(`\nwhat was seen was not right:\n${faults.join('\n')}`);
const good = !failed && faults.length === 0;
console.log(`\n${good ? 'the whole path was walked' : 'the path was not walked'} in ${steps.end()}; ${String(looked.size)} pages were looked at`);
process.exit(good ? 0 : 1);

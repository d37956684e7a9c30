/**
 * Every page of the console in every state, wide and on a phone, light and dark: accessible, in words, and as wide as its
 * window. With SHOTS=<folder> each is kept as a picture, with an index. It wants an installation in which something runs.
 */

import { launch, openWindow, PATIENCE_MS, signIn } from './src/browser.mjs';
import { look } from './src/look.mjs';
import { VIEWS } from './src/pages/views.mjs';
import { ROUTES, routeState } from './src/pages/routes.mjs';
import { Shots } from './src/pages/shots.mjs';
import { impose } from './src/pages/states.mjs';
import { stockOf } from './src/pages/stock.mjs';
import { settings } from './src/settings.mjs';

const SIZES = { 1440: { width: 1440, height: 900 }, 390: { width: 390, height: 844 } };
const THEMES = ['light', 'dark'];

/** Returns every page in every state as one list of what is to be visited. */
function visits() {
  const routes = ROUTES.flatMap((route) =>
    route.states.map((state) => ({ ...routeState(state), ...route, state, widths: [1440, 390], act: state === 'full' ? route.act : undefined })),
  );
  const views = VIEWS.map((view) => ({ ...routeState('full'), state: 'full', widths: [1440, 390], ...view }));
  return [...routes, ...views];
}

/** What a tab says that shows nothing new any more: Chromium without a GPU sometimes gives one no frames, while others go on. */
const DRAWS_NO_MORE = 'the tab draws no more';

/** In the page: waits until what changes with the width and the theme has changed. What turns for ever is not waited for. */
async function still(otherwise) {
  const frame = () =>
    new Promise((done, fail) => {
      const late = setTimeout(() => fail(new Error(otherwise)), 10_000);
      requestAnimationFrame(() => {
        clearTimeout(late);
        done();
      });
    });
  await frame();
  await frame();
  const ending = document.getAnimations().filter((animation) => animation.effect.getComputedTiming().endTime !== Infinity);
  await Promise.allSettled(ending.map((animation) => animation.finished));
  await frame();
}

/**
 * In which widths and themes something is looked at: all, or, when it shall be brief, wide in both themes and narrow in one; empty, loading and error in
 * two of the four.
 */
function looksOf(visit, brief) {
  const all = visit.widths.flatMap((width) => THEMES.map((theme) => ({ width, theme })));
  if (!brief || visit.widths.length === 1) return all;
  const wide = visit.state === 'full' ? THEMES : ['light'];
  return all.filter(({ width, theme }) => (width === 1440 ? wide.includes(theme) : theme === 'dark'));
}

/** Looks at what is shown in each width and theme. */
async function inspect(page, visit, shots, brief) {
  const faults = [];
  for (const { width, theme } of looksOf(visit, brief)) {
    await page.setViewportSize(SIZES[width]);
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    await page.evaluate(still, DRAWS_NO_MORE);
    const where = `${visit.name}, ${visit.state}, ${String(width)}, ${theme}`;
    const axe = width === 1440 || visit.widths.length === 1 || (!brief && visit.state === 'full' && theme === 'light');
    faults.push(...(await look(page, { axe })).map((fault) => `${where}: ${fault}`));
    await shots?.take(page, visit, width, theme);
  }
  return faults;
}

/** Opens one page in one state, in a tab of its own. */
async function see(window, visit, stock, shots, brief) {
  const page = await window.newPage();
  try {
    await page.setViewportSize(SIZES[visit.widths[0]]);
    await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
    await impose(page, visit);
    await page.goto(visit.path(stock), { waitUntil: 'commit' });
    await visit.arrived(page, visit);
    if (visit.act) await visit.act(page, stock);
    return await inspect(page, visit, shots, brief);
  } catch (error) {
    // What is to be seen instead says more than what was waited for.
    const shown = await page.evaluate(() => document.body.innerText.replace(/\s+/g, ' ').slice(0, 400)).catch(() => 'nothing');
    return [`${visit.name}, ${visit.state}: ${error.message.split('\n').slice(0, 6).join(' ')}; the page shows: ${shown}`];
  } finally {
    await page.close();
  }
}

async function main() {
  const it = settings('BASE', 'ADMIN_PASSWORD');
  const faults = [];
  const browser = await launch(it);
  const inside = await openWindow(browser, { base: it.base, faults });
  const outside = await openWindow(browser, { base: it.base, faults });
  inside.setDefaultTimeout(PATIENCE_MS);
  const first = await inside.newPage();
  await signIn(first, it);
  // Tabs share one stream, which the eldest holds: each visited page is to hold its own.
  await first.close();
  const stock = await stockOf(inside.request);
  const shots = it.shots === undefined ? undefined : new Shots(it.shots);
  const began = Date.now();
  let count = 0;
  for (const visit of visits()) {
    if (it.only && !it.only.includes(visit.name)) continue;
    const at = Date.now();
    const visited = () => see(visit.outside ? outside : inside, visit, stock, shots, it.brief);
    let found = await visited();
    if (found.some((fault) => fault.includes(DRAWS_NO_MORE))) {
      console.log(`     ${visit.name}, ${visit.state}: ${DRAWS_NO_MORE}; in another one:`);
      found = await visited();
    }
    faults.push(...found);
    count += 1;
    console.log(`${found.length === 0 ? 'ok  ' : 'FAIL'} ${((Date.now() - at) / 1000).toFixed(1).padStart(5)} s  ${visit.name}, ${visit.state}`);
    found.forEach((fault) => console.log(`     ${fault}`));
  }
  await browser.close();
  if (shots && !it.only) await shots.index(visits());
  if (shots) console.log(`\n${shots.summary()}`);
  const time = `${((Date.now() - began) / 1000).toFixed(0)} s`;
  console.log(`\n${String(count)} pages and states in ${time}, ${faults.length === 0 ? 'nothing to complain of' : `${String(faults.length)} things are wrong`}`);
  if (faults.length > 0) console.error(`\n${faults.join('\n')}`);
  process.exit(faults.length === 0 ? 0 : 1);
}

await main();

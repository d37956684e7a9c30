/** The browser, as someone uses it: one window, a known language and time zone. */

import { chromium } from 'playwright-core';

/** A person waits no longer than this for something to appear. */
export const PATIENCE_MS = 15_000;

const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launch({ chromium: executablePath }) {
  return chromium.launch({ executablePath, args: ARGUMENTS });
}

/** Opens a window; `faults` collects what its pages throw or try against their own security policy. */
export async function openWindow(browser, { base, faults, scheme = 'light' }) {
  const context = await browser.newContext({
    baseURL: base,
    viewport: { width: 1440, height: 900 },
    colorScheme: scheme,
    reducedMotion: 'reduce',
    locale: 'en-GB',
    timezoneId: 'UTC',
  });
  context.setDefaultTimeout(PATIENCE_MS);
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: base });
  context.on('weberror', (event) => faults.push(`the page threw: ${event.error().message}`));
  context.on('console', (message) => {
    if (message.type() === 'error' && message.text().includes('Content Security Policy')) faults.push(message.text());
  });
  return context;
}

/** Signs in as a person does; chooses a new password where the first one works only once. */
export async function signIn(page, { password, newPassword }) {
  await page.goto('/');
  await page.getByLabel('Name').fill('admin');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  const inside = page.getByRole('heading', { level: 1, name: /^Hello, / });
  const once = page.getByRole('heading', { name: 'Choose your password' });
  const refused = page.getByRole('alert');
  await inside.or(once).or(refused).first().waitFor();
  if ((await refused.count()) && !(await inside.count())) throw new Error(`signing in was refused: ${await refused.innerText()}`);
  if (await once.count()) {
    if (!newPassword) throw new Error('this password works only once: set NEW_PASSWORD to the one to choose');
    await page.getByLabel('One-time password').fill(password);
    await page.getByLabel('New password', { exact: true }).fill(newPassword);
    await page.getByLabel('New password again').fill(newPassword);
    await page.getByRole('button', { name: 'Save and go on' }).click();
    await inside.waitFor();
  }
}

/** Pictures of pages, small enough to be kept with the code, and their index. */

import { mkdir, readdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const QUALITY = 50;
/** A page that is longer is cut here. */
const MOST_HEIGHT = { 1440: 1300, 390: 1500 };

const fileOf = ({ name, state }, width, theme) => `${name}.${state}.${String(width)}.${theme}.webp`;

/** In the page: where a picture begins, if it is of something further down. */
function begin(selector) {
  window.scrollTo(0, 0);
  const shown = selector && document.querySelector(selector);
  return shown ? Math.max(0, Math.floor(shown.getBoundingClientRect().top) - 20) : 0;
}

/** In the page: how high a picture of all of it is. What lies over a page is fixed to the window. */
function wholeHeight() {
  const over = document.querySelector('[role=dialog], [role=menu]');
  return over ? window.innerHeight : Math.max(window.innerHeight, document.documentElement.scrollHeight);
}

export class Shots {
  constructor(folder) {
    this.folder = folder;
    this.bytes = 0;
    this.count = 0;
  }

  async take(page, visit, width, theme) {
    await mkdir(this.folder, { recursive: true });
    const y = await page.evaluate(begin, visit.show);
    const height = (await page.evaluate(wholeHeight)) - y;
    const client = await page.context().newCDPSession(page);
    const clip = { x: 0, y, width, height: Math.min(height, MOST_HEIGHT[width]), scale: 1 };
    const { data } = await client.send('Page.captureScreenshot', { format: 'webp', quality: QUALITY, captureBeyondViewport: true, clip });
    await client.detach();
    const picture = Buffer.from(data, 'base64');
    await writeFile(join(this.folder, fileOf(visit, width, theme)), picture);
    this.bytes += picture.length;
    this.count += 1;
  }

  summary() {
    return `${String(this.count)} pictures, ${(this.bytes / 2 ** 20).toFixed(1)} MiB, in ${this.folder}`;
  }

  /** Writes the index, and removes pictures of what is no more. */
  async index(visits) {
    const kept = new Set(visits.flatMap((visit) => visit.widths.flatMap((width) => ['light', 'dark'].map((theme) => fileOf(visit, width, theme)))));
    for (const file of await readdir(this.folder)) {
      if (file.endsWith('.webp') && !kept.has(file)) await unlink(join(this.folder, file));
    }
    const there = new Set(await readdir(this.folder));
    await writeFile(join(this.folder, 'README.md'), indexText(visits, there));
  }
}

const WORDS = [
  [1440, 'light', 'wide'],
  [1440, 'dark', 'dark'],
  [390, 'light', 'phone'],
  [390, 'dark', 'phone, dark'],
];

function links(visit, there) {
  const found = WORDS.filter(([width, theme]) => there.has(fileOf(visit, width, theme)));
  return found.map(([width, theme, word]) => `[${word}](${fileOf(visit, width, theme)})`).join(' · ');
}

const STATES = ['full', 'empty', 'loading', 'error'];

function indexText(visits, there) {
  const names = [...new Set(visits.map(({ name }) => name))];
  const rows = names.map((name) => {
    const own = visits.filter((visit) => visit.name === name);
    return { name, cells: STATES.map((state) => own.filter((visit) => visit.state === state).map((visit) => links(visit, there))[0] ?? '') };
  });
  const pages = rows.filter(({ cells }) => cells.slice(1).some((cell) => cell !== ''));
  const views = rows.filter(({ cells }) => cells.slice(1).every((cell) => cell === ''));
  return [
    '# The console in pictures',
    '',
    'Written by `SHOTS=docs/screenshots node tests/browser/pages.mjs` from a running installation: 1440 and 390 pixels wide, light and dark.',
    '',
    '## Pages, in each state',
    '',
    '| Page | Full | Empty | Loading | Error |',
    '|---|---|---|---|---|',
    ...pages.map(({ name, cells }) => `| ${name.replaceAll('-', ' ')} | ${cells.map((cell) => cell || 'does not occur').join(' | ')} |`),
    '',
    '## Dialogues, steps and answers',
    '',
    '| What | Pictures |',
    '|---|---|',
    ...views.map(({ name, cells }) => `| ${name.replaceAll('-', ' ')} | ${cells[0]} |`),
    '',
  ].join('\n');
}

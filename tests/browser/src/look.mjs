/** What must hold of every page that someone sees: accessible, as wide as its window, and in words. */

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'];
const MOST_NODES = 3;

/** Returns what axe finds, a line for each rule. */
async function accessibility(page) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(AXE);
  const violations = await page.evaluate(
    async (values) => (await window.axe.run(document, { runOnly: { type: 'tag', values }, resultTypes: ['violations'] })).violations,
    TAGS,
  );
  return violations.map(({ id, nodes }) => {
    const shown = nodes.slice(0, MOST_NODES).map((node) => {
      const why = [...node.any, ...node.all, ...node.none][0]?.message ?? '';
      return `${node.target.join(' ')} ${node.html.slice(0, 160)} (${why})`;
    });
    return `axe ${id}, ${nodes.length} times: ${shown.join(' | ')}`;
  });
}

/** Returns the text that is seen, piece by piece; codes and snippets are meant to be raw. */
function visibleTexts() {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const holder = node.parentElement;
    const text = node.textContent.trim();
    if (text === '' || holder.closest('code, pre, kbd, script, style, noscript, [role=log]')) continue;
    if (holder.checkVisibility({ visibilityProperty: true })) texts.push(text);
  }
  return texts;
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i;
const SNAKE = /\b[a-z]+(?:_[a-z]+)+\b/;

async function words(page) {
  const texts = await page.evaluate(visibleTexts);
  return [
    ...texts.filter((text) => UUID.test(text)).map((text) => `a raw id is shown: ${text}`),
    ...texts.filter((text) => SNAKE.test(text)).map((text) => `a name of the program is shown: ${text}`),
  ];
}

async function width(page) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  return over > 0 ? [`it is ${over} pixels wider than its window`] : [];
}

/** Returns everything that is wrong with what a page shows right now. */
export async function look(page, { axe = true } = {}) {
  return [...(await width(page)), ...(await words(page)), ...(axe ? await accessibility(page) : [])];
}

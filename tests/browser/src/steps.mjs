/** Steps of a path, each with its time. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;

export class Steps {
  constructor({ out, window }) {
    this.out = out;
    this.window = window;
    this.began = Date.now();
    this.number = 0;
  }

  /** Runs a step and says how long it took; a failure keeps what every page showed. */
  async step(name, act) {
    const began = Date.now();
    this.number += 1;
    try {
      const result = await act();
      console.log(`ok   ${String(this.number).padStart(2)}  ${seconds(Date.now() - began).padStart(7)}  ${name}`);
      return result;
    } catch (error) {
      console.log(`FAIL ${String(this.number).padStart(2)}  ${seconds(Date.now() - began).padStart(7)}  ${name}`);
      await this.keep();
      throw error;
    }
  }

  async keep() {
    if (!this.out) return;
    await mkdir(this.out, { recursive: true });
    for (const [index, page] of this.window.pages().entries()) {
      const file = join(this.out, `step-${String(this.number)}-page-${String(index + 1)}.png`);
      await page.screenshot({ path: file, fullPage: true }).then(
        () => console.log(`     what was seen at ${new URL(page.url()).pathname}: ${file}`),
        (error) => console.log(`     no picture: ${error.message}`),
      );
    }
  }

  end() {
    return seconds(Date.now() - this.began);
  }
}

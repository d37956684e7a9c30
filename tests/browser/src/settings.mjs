/** What the surroundings say; without what is needed, it is said what is missing. */

import { existsSync } from 'node:fs';

const KNOWN = {
  BASE: 'address of the console, such as http://127.0.0.1',
  INGESTION: 'address of the HTTP ingestion; otherwise the one that the console shows',
  ADMIN_PASSWORD: 'password of the user admin',
  BUNDLE: 'path of a zip of sdk/examples/room-comfort',
};

const DEFAULTS = { BASE: 'http://127.0.0.1', CHROMIUM: '/usr/bin/chromium' };

/** Returns the settings; those that are named must be there. */
export function settings(...needed) {
  const of = (name) => process.env[name] || DEFAULTS[name];
  const missing = needed.filter((name) => !of(name));
  if (missing.length > 0) {
    console.error(missing.map((name) => `set ${name}: ${KNOWN[name]}`).join('\n'));
    process.exit(2);
  }
  if (!existsSync(of('CHROMIUM'))) {
    console.error(`there is no browser at ${of('CHROMIUM')}: install chromium, or set CHROMIUM to its path`);
    process.exit(2);
  }
  return {
    base: of('BASE').replace(/\/+$/, ''),
    ingestion: of('INGESTION')?.replace(/\/+$/, ''),
    password: of('ADMIN_PASSWORD'),
    newPassword: of('NEW_PASSWORD'),
    bundle: of('BUNDLE'),
    chromium: of('CHROMIUM'),
    out: of('OUT'),
    shots: of('SHOTS'),
    only: of('ONLY')?.split(','),
    brief: of('BRIEF') !== undefined,
  };
}

/** A house with a room, and an attic where nothing is. */

import { goTo } from './go.mjs';

async function make(page, name, kind, within) {
  await page.getByRole('button', { name: 'New location' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'New location' });
  await dialog.getByLabel('Name').fill(name);
  await dialog.getByLabel('Kind').fill(kind);
  const field = dialog.getByRole('combobox', { name: 'Within' });
  await field.click();
  await field.fill(within ?? 'nothing');
  await page.getByRole('option', { name: within ?? /^nothing/, exact: true }).click();
  await dialog.getByRole('button', { name: 'Create location' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await page.getByRole('region', { name, exact: true }).waitFor();
}

export async function makePlaces({ page, see, names }) {
  await goTo(page, 'Locations');
  await make(page, names.house, 'building', undefined);
  await make(page, names.room, 'room', names.house);
  await make(page, names.attic, 'room', names.house);
  await page.getByText(`${names.house} / ${names.attic}`).first().waitFor();
  await see('locations');
}

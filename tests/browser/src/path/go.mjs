/** How a person gets around in the console. */

/** Goes to a page by the navigation, and waits until it stands. */
export async function goTo(page, label) {
  await page.getByRole('navigation', { name: 'main' }).getByRole('link', { name: label, exact: true }).click();
  await page.getByRole('heading', { level: 1, name: label, exact: true }).waitFor();
}

/** Goes to the page of something that a list names. */
export async function open(page, label, name) {
  await goTo(page, label);
  await page.getByRole('main').getByRole('link', { name, exact: true }).first().click();
  await page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
}

/** Chooses from a list that opens below its field. */
export async function choose(page, within, label, option) {
  await within.getByRole('combobox', { name: label, exact: true }).click();
  await page.getByRole('option', { name: option, exact: true }).click();
}

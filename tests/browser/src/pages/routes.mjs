/** Every route of the console, and the states that it has. */

const ALL = ['full', 'empty', 'loading', 'error'];
/** A thing that exists has something to show. */
const THING = ['full', 'loading', 'error'];

const at = (path) => () => path;

export const ROUTES = [
  { name: 'overview', path: at('/'), title: /^Hello, /, states: ALL },
  { name: 'applications', path: at('/applications'), title: 'Applications', states: ALL },
  { name: 'upload', path: at('/applications/upload'), title: 'Upload an application', states: ['full'] },
  { name: 'application', path: ({ application }) => `/applications/${application}`, states: ALL },
  { name: 'run', path: ({ application }) => `/applications/${application}/run`, title: /^Run /, states: ALL, act: choosePlace },
  { name: 'schedules', path: at('/schedules'), title: 'Schedules', states: ALL },
  { name: 'schedule', path: ({ schedule }) => `/schedules/${schedule}`, states: ALL },
  { name: 'instances', path: at('/instances'), title: 'Instances', states: ALL },
  { name: 'instance', path: ({ instance }) => `/instances/${instance}`, states: ALL },
  { name: 'notifications', path: at('/notifications'), title: 'Notifications', states: ALL },
  { name: 'sensors', path: at('/sensors'), title: 'Sensors', states: ALL },
  { name: 'sensor', path: ({ sensor }) => `/sensors/${sensor}`, states: ALL },
  { name: 'devices', path: at('/devices'), title: 'Devices', states: ALL },
  { name: 'device', path: ({ device }) => `/devices/${device}`, states: ALL },
  { name: 'connectors', path: at('/connectors'), title: 'Connectors', states: ALL },
  { name: 'connector', path: ({ connector }) => `/connectors/${connector}`, states: ALL },
  { name: 'locations', path: at('/locations'), title: 'Locations', states: ALL },
  { name: 'types', path: at('/types'), title: 'Types', states: ALL },
  { name: 'type', path: ({ sensorType }) => `/types/${sensorType}`, states: THING },
  { name: 'refused-readings', path: at('/quarantine'), title: 'Refused readings', states: ALL },
  { name: 'health', path: at('/health'), title: 'Health', states: ALL },
  { name: 'users', path: at('/users'), title: 'Users', states: ALL },
  { name: 'user', path: ({ user }) => `/users/${user}`, states: THING },
  { name: 'audit', path: at('/audit'), title: 'Audit', states: ALL },
  { name: 'account', path: at('/account'), title: 'Your account', states: ALL },
];

/** Chooses the place where something runs: what is needed is there. */
export async function choosePlace(page, { place }) {
  await page.getByRole('tree', { name: 'place' }).getByText(place, { exact: true }).last().click();
  await page.getByRole('region', { name: 'Where' }).getByText(/^needs /).first().waitFor();
}

const skeleton = (page) => page.getByRole('status', { name: 'loading' });
const heading = (page, title) => page.getByRole('heading', { level: 1, ...(title ? { name: title } : {}) });

/** Waits until nothing is being read any more. */
export async function settled(page) {
  await page.waitForFunction(() => {
    const title = document.querySelector('h1')?.textContent;
    return title && title !== 'Loading…' && !document.querySelector('[role=status][aria-label=loading]');
  });
}

const ARRIVED = {
  full: async (page, { title }) => {
    await heading(page, title).waitFor();
    await settled(page);
  },
  empty: async (page, { title }) => {
    await heading(page, title).waitFor();
    await settled(page);
  },
  loading: async (page) => {
    await heading(page).waitFor();
    await skeleton(page).first().waitFor();
  },
  error: async (page) => {
    await page.getByRole('alert').getByText('This could not be read').first().waitFor();
    await skeleton(page).first().waitFor({ state: 'hidden' });
  },
};

/** Returns how a page shows that it is in a state. */
export function routeState(state) {
  return { arrived: ARRIVED[state] };
}

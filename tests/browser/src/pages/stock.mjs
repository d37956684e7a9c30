/** One of each thing, to visit its page. */

const over = ({ state }) => ['succeeded', 'failed', 'stopped'].includes(state);

/** How each is found: the list, what it is named by, and which are preferred: those that belong together. */
const WANTED = {
  instance: { list: 'instances', by: 'id', prefer: (each) => each.has_page && !over(each) },
  application: { list: 'applications', by: 'name', prefer: ({ name }, stock) => name === stock.runs },
  schedule: { list: 'schedules', by: 'id', prefer: ({ when, status }) => when.kind === 'cron' && status === 'active' },
  sensor: { list: 'sensors', by: 'id', prefer: ({ location }, { path }) => location.path === path },
  device: { list: 'devices', by: 'id', prefer: ({ location }, { path }) => location.path === path },
  connector: { list: 'connectors', by: 'id', prefer: ({ location, sensors }, { path }) => location.path === path && sensors.length > 0 },
  sensorType: { list: 'types', by: 'name', prefer: ({ kind, used_by: used }) => kind === 'sensor' && used > 0 },
  deviceType: { list: 'types', by: 'name', prefer: ({ kind, used_by: used }) => kind === 'device' && used > 0 },
  user: { list: 'users', by: 'name', prefer: ({ name }) => name !== 'admin' },
  notification: { list: 'notifications', by: 'id', prefer: () => true },
  refused: { list: 'quarantine', by: 'received', prefer: () => true },
};

/** Reads what there is; without one of each, not every page can be seen. */
export async function stockOf(request) {
  const stock = {};
  for (const [noun, { list, by, prefer }] of Object.entries(WANTED)) {
    const answer = await request.get(`/api/v1/${list}?limit=200`);
    if (!answer.ok()) throw new Error(`the ${list} answer with ${String(answer.status())}`);
    const { items } = await answer.json();
    const found = items.find((each) => prefer(each, stock)) ?? items[0];
    if (found === undefined) throw new Error(`there is nothing among the ${list}: walk the path first, with path.mjs, or start the demo`);
    stock[noun] = found[by];
    if (noun === 'instance') Object.assign(stock, { runs: found.application.name, path: found.location.path });
  }
  return { ...stock, place: stock.path.split(' / ').at(-1) };
}

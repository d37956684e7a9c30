import type { Instance, Sensor, Service } from '@/api/types';
import { count } from '@/ui/format';
import type { Figure } from '@/ui/figures';

/** Shown while a number is not known. */
const UNKNOWN = '…';

/** Says how many instances run, and whether some need help. */
export function instanceFigure(active: Instance[] | undefined): Figure {
  const inState = (state: Instance['state']) => (active ?? []).filter((instance) => instance.state === state).length;
  const [running, waiting, failing] = [inState('running'), inState('waiting'), inState('failing')];
  const notes = [failing > 0 ? `${count(failing)} failing` : '', waiting > 0 ? `${count(waiting)} waiting` : ''].filter((note) => note !== '');
  return {
    label: 'Instances running',
    value: active ? count(running) : UNKNOWN,
    mood: failing > 0 ? 'bad' : waiting > 0 ? 'warn' : running > 0 ? 'ok' : 'idle',
    note: notes.length > 0 ? notes.join(', ') : undefined,
    to: '/instances',
  };
}

/** Says how many sensors send as expected. */
export function sensorFigure(sensors: Sensor[] | undefined): Figure {
  const of = (signals: Sensor['signal'][]) => (sensors ?? []).filter(({ signal }) => signals.includes(signal)).length;
  const [live, quiet] = [of(['live']), of(['late', 'silent'])];
  return {
    label: 'Sensors live',
    value: sensors ? `${count(live)} of ${count(sensors.length)}` : UNKNOWN,
    mood: quiet > 0 ? 'warn' : live > 0 ? 'ok' : 'idle',
    note: quiet > 0 ? `${count(quiet)} late or silent` : undefined,
    to: '/sensors',
  };
}

/** Says how many services of the platform are up. */
export function serviceFigure(services: Service[] | undefined): Figure {
  const up = (services ?? []).filter(({ state }) => state === 'up').length;
  return {
    label: 'Services up',
    value: services ? `${count(up)} of ${count(services.length)}` : UNKNOWN,
    mood: services === undefined ? 'idle' : up === services.length ? 'ok' : 'bad',
    to: '/health',
  };
}

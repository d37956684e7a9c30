import { IconCheck } from '@tabler/icons-react';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, type LinkProps } from '@tanstack/react-router';
import { applicationListOptions } from '@/features/applications/data';
import { locationsOptions } from '@/features/locations/data';
import { sensorListOptions } from '@/features/sensors/data';
import { has, useMe } from '@/features/session/session';
import { instanceListOptions } from '@/features/instances/data';
import { typesOptions } from '@/features/types/data';
import { Panel } from '@/ui/panel';
import classes from './first-steps.module.css';

interface Deed {
  label: string;
  text: string;
  to: LinkProps['to'];
  done: boolean;
}

/** The way to the first run, for those who set an installation up; gone when it is walked. */
export function FirstSteps() {
  const me = useMe();
  const setsUp = has(me, 'sensor_owner') && has(me, 'developer');
  const locations = useQuery({ ...locationsOptions, enabled: setsUp });
  const types = useQuery({ ...typesOptions, enabled: setsUp });
  const sensors = useInfiniteQuery({ ...sensorListOptions(undefined), enabled: setsUp });
  const applications = useInfiniteQuery({ ...applicationListOptions, enabled: setsUp });
  const instances = useInfiniteQuery({ ...instanceListOptions({}), enabled: setsUp });
  if (!setsUp || !locations.data || !types.data || !sensors.data || !applications.data || !instances.data) return null;
  const steps: Deed[] = [
    { label: 'Make a location', text: 'a building and its rooms', to: '/locations', done: locations.data.length > 0 },
    { label: 'Make a type', text: 'what is measured, what can be commanded', to: '/types', done: types.data.length > 0 },
    { label: 'Register a sensor', text: 'and let it send its first reading', to: '/sensors', done: sensors.data.length > 0 },
    { label: 'Upload an application', text: 'a zip that names types, not sensors', to: '/applications/upload', done: applications.data.length > 0 },
    { label: 'Run it', text: 'at a place, at a time', to: '/applications', done: instances.data.length > 0 },
  ];
  if (steps.every(({ done }) => done)) return null;
  const next = steps.findIndex(({ done }) => !done);
  return (
    <Panel title="From nothing to a running application">
      <ol className={classes.steps}>
        {steps.map((step, index) => (
          <li key={step.label} className={classes.step} data-done={step.done} data-next={index === next}>
            <span className={classes.mark} aria-hidden>
              {step.done ? <IconCheck size={15} stroke={2.4} /> : index + 1}
            </span>
            <span>
              <Link to={step.to} className={classes.link}>
                {step.label}
              </Link>
              {step.done && <span className={classes.hidden}> (done)</span>}
              <span className={classes.text}>{step.text}</span>
            </span>
          </li>
        ))}
      </ol>
    </Panel>
  );
}

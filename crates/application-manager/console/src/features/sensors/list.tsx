import { Button } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconGauge, IconPlus } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import type { Sensor } from '@/api/types';
import { LocationSelect } from '@/features/locations/select';
import { Register } from '@/features/registration/register';
import { has, useMe } from '@/features/session/session';
import { List } from '@/ui/list';
import { Ago } from '@/ui/moment';
import { Empty } from '@/ui/outcome';
import { Page } from '@/ui/page';
import { State } from '@/ui/state';
import type { Column } from '@/ui/table';
import { measured, sensorListOptions, SIGNALS } from './data';

/** Values in the list are renewed this often; charts are live. */
const RENEW_MS = 5000;

export const SENSOR_COLUMNS: Column<Sensor>[] = [
  {
    title: 'Sensor',
    cell: (sensor) => (
      <Link to="/sensors/$id" params={{ id: sensor.id }}>
        {sensor.name}
      </Link>
    ),
  },
  { title: 'Signal', cell: (sensor) => <State mood={SIGNALS[sensor.signal].mood}>{SIGNALS[sensor.signal].word}</State>, tight: true },
  { title: 'Last value', cell: (sensor) => (sensor.last ? <span className="figures">{measured(sensor.last.values, sensor.properties)}</span> : <span className="soft">none yet</span>) },
  { title: 'Measured', cell: (sensor) => (sensor.last ? <Ago at={sensor.last.time} /> : ''), wideOnly: true },
  { title: 'Type', cell: (sensor) => sensor.type.title },
  { title: 'Location', cell: (sensor) => sensor.location.path },
];

export function SensorsPage() {
  const me = useMe();
  const [location, setLocation] = useState<string | null>(null);
  const [open, dialog] = useDisclosure(false);
  const sensors = useInfiniteQuery({ ...sensorListOptions(location ?? undefined), refetchInterval: RENEW_MS });
  const register = has(me, 'sensor_owner') && (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={dialog.open}>
      Register a sensor
    </Button>
  );
  return (
    <Page title="Sensors" lead="What measures, where, and what it said last." actions={register}>
      <List
        label="sensors"
        of={sensors}
        columns={SENSOR_COLUMNS}
        id={(sensor) => sensor.id}
        target={(sensor) => ({ to: '/sensors/$id', params: { id: sensor.id } })}
        text={(sensor) => `${sensor.name} ${sensor.type.title} ${sensor.location.path} ${sensor.connector.name}`}
        filtered={location !== null}
        filters={<LocationSelect size="xs" w={220} aria-label="at the location" none="All locations" required={false} value={location} onChange={setLocation} />}
        empty={
          <Empty icon={IconGauge} title="No sensors yet" action={register}>
            A sensor has a type (what it measures), a location and a connector that carries it. Registered once, every application
            that needs its type can use it, wherever someone runs the application.
          </Empty>
        }
      />
      <Register kind="sensor" opened={open} close={dialog.close} />
    </Page>
  );
}

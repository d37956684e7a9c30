import { Button } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconPencil, IconTrash } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { api, ask, change } from '@/api/client';
import type { Point, Sensor } from '@/api/types';
import { Charts } from '@/features/readings/charts';
import { Change } from '@/features/registration/change';
import { Connection } from '@/features/registration/connection';
import { range } from '@/features/types/data';
import { useTopics } from '@/live/context';
import { confirm } from '@/ui/confirm';
import { words } from '@/ui/format';
import { Ago } from '@/ui/moment';
import { Page } from '@/ui/page';
import { PageOf } from '@/ui/page-of';
import { Facts, Panel } from '@/ui/panel';
import { State } from '@/ui/state';
import { measured, sensorOptions, SIGNALS } from './data';

export function SensorPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const sensor = useQuery({ ...sensorOptions(id), refetchInterval: 5000 });
  return <PageOf of={sensor}>{(data) => <Shown sensor={data} />}</PageOf>;
}

function Shown({ sensor }: { sensor: Sensor }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [open, dialog] = useDisclosure(false);
  useTopics([`readings:${sensor.id}`], (_, data) => {
    const { time, values } = data as Point;
    client.setQueryData<Sensor>(sensorOptions(sensor.id).queryKey, (known) => known && { ...known, last: { time, values }, signal: 'live' });
  });
  const remove = () => {
    confirm({
      title: `Delete the sensor ${sensor.name}?`,
      text: 'Its readings are refused from then on, and instances that are bound to it lose it.',
      deed: 'Delete',
      act: async () => {
        await change(api.DELETE('/api/v1/sensors/{id}', { params: { path: { id: sensor.id } } }));
        await client.invalidateQueries({ queryKey: ['sensors', 'list'] });
        await navigate({ to: '/sensors' });
      },
      done: `${sensor.name} is deleted`,
    });
  };
  const signal = SIGNALS[sensor.signal];
  return (
    <Page
      title={sensor.name}
      up={{ to: '/sensors', label: 'Sensors' }}
      badge={<State mood={signal.mood}>{signal.word}</State>}
      lead={`${sensor.type.title} · ${sensor.location.path}`}
      actions={
        sensor.may_manage && (
          <>
            <Button variant="default" leftSection={<IconPencil size={16} aria-hidden />} onClick={dialog.open}>
              Change
            </Button>
            <Button variant="default" leftSection={<IconTrash size={16} aria-hidden />} onClick={remove}>
              Delete
            </Button>
          </>
        )
      }
    >
      <Panel>
        <Facts
          facts={[
            ['Last value', sensor.last ? measured(sensor.last.values, sensor.properties) : 'none yet'],
            ['Measured', sensor.last ? <Ago key="last" at={sensor.last.time} /> : 'never'],
            ['Expected', sensor.expected_interval_seconds ? `every ${String(sensor.expected_interval_seconds)} s` : 'no expectation'],
            ['Type', <Link key="type" to="/types/$name" params={{ name: sensor.type.name }}>{sensor.type.title}</Link>],
            ['Location', sensor.location.path],
            ['Connector', sensor.may_manage ? <Link key="connector" to="/connectors/$id" params={{ id: sensor.connector.id }}>{sensor.connector.name}</Link> : sensor.connector.name],
            ...Object.entries(sensor.properties).map(([name, property]): [string, string] => [`${property.title ?? words(name)} is taken`, range(property)]),
          ]}
        />
      </Panel>
      <Charts
        of={['sensor', sensor.id]}
        sensors={[sensor.id]}
        read={async (from) => [await ask(api.GET('/api/v1/sensors/{id}/readings', { params: { path: { id: sensor.id }, query: { from } } }))]}
        hint={sensor.signal === 'never' ? 'It has never sent. Below stands how it is done.' : 'Choose a longer time, or look whether it still sends.'}
      />
      {sensor.may_manage && <Connection connector={sensor.connector} thing={{ kind: 'sensor', id: sensor.id, properties: sensor.properties }} />}
      <Change kind="sensor" entry={sensor} opened={open} close={dialog.close} />
    </Page>
  );
}

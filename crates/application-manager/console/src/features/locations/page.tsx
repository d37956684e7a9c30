import { Button } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconMapPin, IconPencil, IconPlus, IconTrash } from '@tabler/icons-react';
import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { api, change } from '@/api/client';
import type { Location } from '@/api/types';
import { deviceListOptions } from '@/features/devices/data';
import { sensorListOptions, SIGNALS, measured } from '@/features/sensors/data';
import { has, useMe } from '@/features/session/session';
import { confirm } from '@/ui/confirm';
import { many } from '@/ui/format';
import { Empty, Outcome } from '@/ui/outcome';
import { Columns, Page } from '@/ui/page';
import { Panel } from '@/ui/panel';
import { State } from '@/ui/state';
import { Table } from '@/ui/table';
import { Link } from '@tanstack/react-router';
import { locationsOptions, tree } from './data';
import { GrantsPanel } from './grants';
import { LocationDialog } from './form';
import { LocationTree } from './tree';

export function LocationsPage() {
  const me = useMe();
  const locations = useQuery(locationsOptions);
  const { at } = useSearch({ strict: false }) as { at?: string };
  const navigate = useNavigate();
  const [open, dialog] = useDisclosure(false);
  const choose = (id: string | undefined) => void navigate({ to: '/locations', search: { at: id }, replace: true });
  const chosen = locations.data?.find(({ id }) => id === at) ?? tree(locations.data ?? [])[0]?.location;
  const create = has(me, 'sensor_owner') && (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={dialog.open}>
      New location
    </Button>
  );
  return (
    <Page title="Locations" lead="The tree of places: campus, building, room. Sensors and devices belong to a place; rights on a place hold for everything in it." actions={create}>
      <Outcome of={locations} framed>
        {(list) =>
          list.length === 0 ? (
            <Panel>
              <Empty icon={IconMapPin} title="No locations yet" action={create}>
                Begin with a building, then put rooms into it. Whoever runs an application chooses a place, and everything in it counts.
              </Empty>
            </Panel>
          ) : (
            <Columns>
              <Panel title="Places">
                <LocationTree
                  label="places"
                  locations={list}
                  chosen={chosen?.id}
                  choose={({ id }) => {
                    choose(id);
                  }}
                  note={({ sensors, devices }) => `${many(sensors, 'sensor')}, ${many(devices, 'device')}`}
                />
              </Panel>
              {chosen && <Chosen key={chosen.id} location={chosen} gone={() => { choose(undefined); }} />}
            </Columns>
          )
        }
      </Outcome>
      <LocationDialog opened={open} close={dialog.close} parent={chosen?.may_manage ? chosen.id : undefined} made={choose} />
    </Page>
  );
}

function Chosen({ location, gone }: { location: Location; gone: () => void }) {
  const client = useQueryClient();
  const [open, dialog] = useDisclosure(false);
  const remove = () => {
    confirm({
      title: `Delete ${location.path}?`,
      text: 'Only a place in which nothing is any more can be deleted.',
      deed: 'Delete',
      act: async () => {
        await change(api.DELETE('/api/v1/locations/{id}', { params: { path: { id: location.id } } }));
        await client.invalidateQueries({ queryKey: ['locations'] });
        gone();
      },
      done: `${location.name} is deleted`,
    });
  };
  return (
    <div style={{ display: 'flex', flexDirection: 'column', gap: 16 }}>
      <Panel
        title={location.name}
        aside={
          location.may_manage && (
            <>
              <Button size="compact-sm" variant="subtle" leftSection={<IconPencil size={14} aria-hidden />} onClick={dialog.open}>
                Change
              </Button>
              <Button size="compact-sm" variant="subtle" leftSection={<IconTrash size={14} aria-hidden />} onClick={remove}>
                Delete
              </Button>
            </>
          )
        }
      >
        <p className="soft small" style={{ margin: 0 }}>
          {location.kind} · {location.path} · you may {location.may_manage ? 'manage' : 'use'} it
        </p>
      </Panel>
      <Sensors location={location.id} />
      <Devices location={location.id} />
      {location.may_manage && <GrantsPanel key={location.version} location={location} />}
      <LocationDialog opened={open} close={dialog.close} location={location} />
    </div>
  );
}

function Sensors({ location }: { location: string }) {
  const sensors = useInfiniteQuery(sensorListOptions(location));
  const more = sensors.hasNextPage ? { load: () => void sensors.fetchNextPage(), loading: sensors.isFetchingNextPage } : undefined;
  return (
    <Panel title="Sensors here and within" flush>
      <Outcome of={sensors}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="No sensors here" />
          ) : (
            <Table
              label="sensors"
              rows={rows}
              id={(sensor) => sensor.id}
              target={(sensor) => ({ to: '/sensors/$id', params: { id: sensor.id } })}
              more={more}
              columns={[
                { title: 'Sensor', cell: (sensor) => <Link to="/sensors/$id" params={{ id: sensor.id }}>{sensor.name}</Link> },
                { title: 'Signal', cell: (sensor) => <State mood={SIGNALS[sensor.signal].mood}>{SIGNALS[sensor.signal].word}</State> },
                { title: 'Last value', cell: (sensor) => (sensor.last ? measured(sensor.last.values, sensor.properties) : ''), end: true },
              ]}
            />
          )
        }
      </Outcome>
    </Panel>
  );
}

function Devices({ location }: { location: string }) {
  const devices = useInfiniteQuery(deviceListOptions(location));
  return (
    <Panel title="Devices here and within" flush>
      <Outcome of={devices}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty title="No devices here" />
          ) : (
            <Table
              label="devices"
              rows={rows}
              id={(device) => device.id}
              target={(device) => ({ to: '/devices/$id', params: { id: device.id } })}
              columns={[
                { title: 'Device', cell: (device) => <Link to="/devices/$id" params={{ id: device.id }}>{device.name}</Link> },
                { title: 'Type', cell: (device) => device.type.title, end: true },
              ]}
            />
          )
        }
      </Outcome>
    </Panel>
  );
}

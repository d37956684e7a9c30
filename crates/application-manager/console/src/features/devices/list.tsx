import { Button } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconCpu, IconPlus } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import type { Device } from '@/api/types';
import { LocationSelect } from '@/features/locations/select';
import { Register } from '@/features/registration/register';
import { has, useMe } from '@/features/session/session';
import { List } from '@/ui/list';
import { Empty } from '@/ui/outcome';
import { Page } from '@/ui/page';
import { State } from '@/ui/state';
import type { Column } from '@/ui/table';
import { COMMAND_STATES, deviceListOptions, withWords } from './data';

const RENEW_MS = 5000;

const COLUMNS: Column<Device>[] = [
  {
    title: 'Device',
    cell: (device) => (
      <Link to="/devices/$id" params={{ id: device.id }}>
        {device.name}
      </Link>
    ),
  },
  { title: 'Reported', cell: (device) => withWords(device.reported) || <span className="soft">nothing yet</span> },
  {
    title: 'Last command',
    cell: ({ last_command: last }) => (last ? <State mood={COMMAND_STATES[last.state].mood}>{`${last.title}: ${COMMAND_STATES[last.state].word.toLowerCase()}`}</State> : <span className="soft">none yet</span>),
  },
  { title: 'Type', cell: (device) => device.type.title },
  { title: 'Location', cell: (device) => device.location.path },
];

export function DevicesPage() {
  const me = useMe();
  const [location, setLocation] = useState<string | null>(null);
  const [open, dialog] = useDisclosure(false);
  const devices = useInfiniteQuery({ ...deviceListOptions(location ?? undefined), refetchInterval: RENEW_MS });
  const register = has(me, 'sensor_owner') && (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={dialog.open}>
      Register a device
    </Button>
  );
  return (
    <Page title="Devices" lead="What takes commands: from applications and from you." actions={register}>
      <List
        label="devices"
        of={devices}
        columns={COLUMNS}
        id={(device) => device.id}
        target={(device) => ({ to: '/devices/$id', params: { id: device.id } })}
        text={(device) => `${device.name} ${device.type.title} ${device.location.path} ${device.connector.name}`}
        filtered={location !== null}
        filters={<LocationSelect size="xs" w={220} aria-label="at the location" none="All locations" required={false} value={location} onChange={setLocation} />}
        empty={
          <Empty icon={IconCpu} title="No devices yet" action={register}>
            A device takes commands of its type, such as a fan that is switched. It gets them over MQTT or HTTP and reports what
            it did; an application sees the answer, and so do you.
          </Empty>
        }
      />
      <Register kind="device" opened={open} close={dialog.close} />
    </Page>
  );
}

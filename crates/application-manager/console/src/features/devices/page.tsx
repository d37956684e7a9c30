import { Button } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconPencil, IconTrash } from '@tabler/icons-react';
import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { api, change } from '@/api/client';
import type { Device } from '@/api/types';
import { Change } from '@/features/registration/change';
import { Connection } from '@/features/registration/connection';
import { useTopics } from '@/live/context';
import { confirm } from '@/ui/confirm';
import { shown, words } from '@/ui/format';
import { Ago } from '@/ui/moment';
import { Empty, Outcome } from '@/ui/outcome';
import { Columns, Page } from '@/ui/page';
import { PageOf } from '@/ui/page-of';
import { Facts, Panel } from '@/ui/panel';
import { CommandTable } from './commands';
import { deviceCommandsOptions, deviceOptions } from './data';
import { GiveCommand } from './give';

export function DevicePage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const device = useQuery(deviceOptions(id));
  return <PageOf of={device}>{(data) => <Shown device={data} />}</PageOf>;
}

function Shown({ device }: { device: Device }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [open, dialog] = useDisclosure(false);
  const renew = () => void client.invalidateQueries({ queryKey: ['devices'] });
  useTopics([`commands:${device.id}`], renew, renew);
  const remove = () => {
    confirm({
      title: `Delete the device ${device.name}?`,
      text: 'It gets no commands from then on, and instances that are bound to it lose it.',
      deed: 'Delete',
      act: async () => {
        await change(api.DELETE('/api/v1/devices/{id}', { params: { path: { id: device.id } } }));
        await client.invalidateQueries({ queryKey: ['devices', 'list'] });
        await navigate({ to: '/devices' });
      },
      done: `${device.name} is deleted`,
    });
  };
  return (
    <Page
      title={device.name}
      up={{ to: '/devices', label: 'Devices' }}
      lead={`${device.type.title} · ${device.location.path}`}
      actions={
        device.may_manage && (
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
      <Columns>
        <Panel title="State" aside={device.reported_at ? <>reported <Ago at={device.reported_at} /></> : undefined}>
          <Facts
            facts={[
              ...Object.entries(device.reported).map(([name, value]): [string, string] => [words(name), shown(value)]),
              ['Type', <Link key="type" to="/types/$name" params={{ name: device.type.name }}>{device.type.title}</Link>],
              ['Location', device.location.path],
              ['Connector', device.may_manage ? <Link key="connector" to="/connectors/$id" params={{ id: device.connector.id }}>{device.connector.name}</Link> : device.connector.name],
            ]}
          />
        </Panel>
        {device.may_command && <GiveCommand device={device} />}
      </Columns>
      <Commands id={device.id} />
      {device.may_manage && <Connection connector={device.connector} thing={{ kind: 'device', id: device.id }} />}
      <Change kind="device" entry={device} opened={open} close={dialog.close} />
    </Page>
  );
}

function Commands({ id }: { id: string }) {
  const commands = useInfiniteQuery(deviceCommandsOptions(id));
  const more = commands.hasNextPage ? { load: () => void commands.fetchNextPage(), loading: commands.isFetchingNextPage } : undefined;
  return (
    <Panel title="Commands" flush>
      <Outcome of={commands}>
        {(rows) => (rows.length === 0 ? <Empty title="No commands yet">Applications that are bound to it, and you, can have it do something.</Empty> : <CommandTable commands={rows} more={more} />)}
      </Outcome>
    </Panel>
  );
}

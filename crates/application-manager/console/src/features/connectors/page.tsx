import { Button, Group, Modal } from '@mantine/core';
import { IconKey, IconTrash } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { api, change } from '@/api/client';
import type { Connector } from '@/api/types';
import { confirm, tellProblem } from '@/ui/confirm';
import { Ago } from '@/ui/moment';
import { Empty } from '@/ui/outcome';
import { Columns, Page } from '@/ui/page';
import { PageOf } from '@/ui/page-of';
import { Facts, Panel } from '@/ui/panel';
import { Table } from '@/ui/table';
import { CredentialsPanel } from './credentials';
import { carries, connectorOptions } from './data';

export function ConnectorPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const connector = useQuery(connectorOptions(id));
  return <PageOf of={connector}>{(data) => <Shown connector={data} />}</PageOf>;
}

function Shown({ connector }: { connector: Connector }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const path = { path: { id: connector.id } };
  const rotate = useMutation({
    mutationFn: () => change(api.POST('/api/v1/connectors/{id}/secret', { params: path })),
    onError: tellProblem,
  });
  const remove = () => {
    confirm({
      title: `Delete the connector ${connector.name}?`,
      text: 'What still signs in with it is refused from then on.',
      deed: 'Delete',
      act: async () => {
        await change(api.DELETE('/api/v1/connectors/{id}', { params: path }));
        await client.invalidateQueries({ queryKey: ['connectors', 'list'] });
        await navigate({ to: '/connectors' });
      },
      done: `${connector.name} is deleted`,
    });
  };
  const renew = () => {
    confirm({
      title: `Make a new secret for ${connector.name}?`,
      text: 'The secret it has now stops working at once: the board or gateway must get the new one.',
      deed: 'Make a new secret',
      act: () => rotate.mutateAsync(),
    });
  };
  const busy = connector.sensors.length + connector.devices.length > 0;
  return (
    <Page
      title={connector.name}
      up={{ to: '/connectors', label: 'Connectors' }}
      lead={connector.location.path}
      actions={
        <>
          <Button variant="default" leftSection={<IconKey size={16} aria-hidden />} onClick={renew}>
            New secret
          </Button>
          <Button variant="default" leftSection={<IconTrash size={16} aria-hidden />} disabled={busy} onClick={remove}>
            Delete
          </Button>
        </>
      }
    >
      <Panel>
        <Facts
          facts={[
            ['Location', connector.location.path],
            ['Carries', carries(connector)],
            ['Registered', <Ago key="created" at={connector.created} />],
          ]}
        />
      </Panel>
      <Columns>
        <Panel title="Sensors" flush>
          {connector.sensors.length === 0 ? (
            <Empty title="Carries no sensors">Register a sensor and choose this connector.</Empty>
          ) : (
            <Table
              label="sensors"
              rows={connector.sensors}
              id={(sensor) => sensor.id}
              columns={[{ title: 'Sensor', cell: (sensor) => <Link to="/sensors/$id" params={{ id: sensor.id }}>{sensor.name}</Link> }]}
              target={(sensor) => ({ to: '/sensors/$id', params: { id: sensor.id } })}
            />
          )}
        </Panel>
        <Panel title="Devices" flush>
          {connector.devices.length === 0 ? (
            <Empty title="Carries no devices">Register a device and choose this connector.</Empty>
          ) : (
            <Table
              label="devices"
              rows={connector.devices}
              id={(device) => device.id}
              columns={[{ title: 'Device', cell: (device) => <Link to="/devices/$id" params={{ id: device.id }}>{device.name}</Link> }]}
              target={(device) => ({ to: '/devices/$id', params: { id: device.id } })}
            />
          )}
        </Panel>
      </Columns>
      <Panel title="How it signs in">
        <CredentialsPanel credentials={connector.access} />
        <p className="soft small" style={{ margin: '12px 0 0' }}>
          Its secret was shown once, when it was made. If it got lost, make a new one.
        </p>
      </Panel>
      <Modal opened={rotate.data !== undefined} onClose={rotate.reset} title={`How ${connector.name} signs in`} size="lg" closeOnClickOutside={false}>
        {rotate.data && <CredentialsPanel credentials={rotate.data.credentials} />}
        <Group justify="flex-end" mt="md">
          <Button onClick={rotate.reset}>I have copied it</Button>
        </Group>
      </Modal>
    </Page>
  );
}

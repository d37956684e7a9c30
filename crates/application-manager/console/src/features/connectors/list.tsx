import { Button } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconPlugConnected, IconPlus } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { Connector } from '@/api/types';
import { List } from '@/ui/list';
import { Ago } from '@/ui/moment';
import { Empty } from '@/ui/outcome';
import { Page } from '@/ui/page';
import type { Column } from '@/ui/table';
import { NewConnector } from './create';
import { carries, connectorListOptions } from './data';

const COLUMNS: Column<Connector>[] = [
  {
    title: 'Connector',
    cell: (connector) => (
      <Link to="/connectors/$id" params={{ id: connector.id }}>
        {connector.name}
      </Link>
    ),
  },
  { title: 'Location', cell: (connector) => connector.location.path },
  { title: 'Carries', cell: carries },
  { title: 'Registered', cell: (connector) => <Ago at={connector.created} />, wideOnly: true },
];

export function ConnectorsPage() {
  const connectors = useInfiniteQuery(connectorListOptions);
  const [open, dialog] = useDisclosure(false);
  const create = (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={dialog.open}>
      New connector
    </Button>
  );
  return (
    <Page title="Connectors" lead="What signs in: a board, a gateway, a bridge. A connector holds the credential and carries sensors and devices." actions={create}>
      <List
        label="connectors"
        of={connectors}
        columns={COLUMNS}
        id={(connector) => connector.id}
        target={(connector) => ({ to: '/connectors/$id', params: { id: connector.id } })}
        text={(connector) => `${connector.name} ${connector.location.path}`}
        empty={
          <Empty icon={IconPlugConnected} title="No connectors yet" action={create}>
            Make one for each board or gateway that talks to the platform. It gets a user name and a secret for MQTT and HTTP.
          </Empty>
        }
      />
      <NewConnector opened={open} close={dialog.close} />
    </Page>
  );
}

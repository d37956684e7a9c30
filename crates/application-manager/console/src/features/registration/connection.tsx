import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Examples } from '@/features/connectors/credentials';
import { connectorOptions } from '@/features/connectors/data';
import type { Thing } from '@/features/connectors/snippets';
import { CopyLine } from '@/ui/copy';
import { Outcome } from '@/ui/outcome';
import { Panel } from '@/ui/panel';

interface ConnectionProps {
  connector: { id: string; name: string };
  thing: Thing;
}

/** Where a sensor or device talks to the platform. The secret is never shown again. */
export function Connection({ connector, thing }: ConnectionProps) {
  const carrier = useQuery(connectorOptions(connector.id));
  return (
    <Panel title="Connection">
      <p className="soft small" style={{ marginTop: 0 }}>
        It signs in as the connector{' '}
        <Link to="/connectors/$id" params={{ id: connector.id }}>
          {connector.name}
        </Link>
        . If the secret got lost, make a new one on the connector’s page.
      </p>
      <CopyLine label="User name" text={connector.id} />
      {thing.kind === 'sensor' ? (
        <CopyLine label="Publishes to" text={`v1/sensors/${thing.id}/readings`} />
      ) : (
        <>
          <CopyLine label="Subscribes to" text={`v1/devices/${thing.id}/commands`} />
          <CopyLine label="Reports to" text={`v1/devices/${thing.id}/commands/<command id>/state`} />
        </>
      )}
      <div style={{ marginTop: 14 }}>
        <Outcome of={carrier} lines={3}>
          {({ access }) => <Examples credentials={access} thing={thing} />}
        </Outcome>
      </div>
    </Panel>
  );
}

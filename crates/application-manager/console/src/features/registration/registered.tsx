import { Button, Group, Stack } from '@mantine/core';
import { useState } from 'react';
import type { Credentials } from '@/api/types';
import { CredentialsPanel, Examples } from '@/features/connectors/credentials';
import type { Thing } from '@/features/connectors/snippets';
import { useTopics } from '@/live/context';
import { State } from '@/ui/state';
import type { Made } from './register';

function thing(made: Made): Thing {
  return made.kind === 'sensor' && 'properties' in made.entry
    ? { kind: 'sensor', id: made.entry.id, properties: made.entry.properties }
    : { kind: 'device', id: made.entry.id };
}

/** How what was just registered is connected; says so when the first reading arrives. */
export function Registered({ made, credentials, done }: { made: Made; credentials: Credentials | undefined; done: () => void }) {
  const [arrived, setArrived] = useState(false);
  useTopics(made.kind === 'sensor' ? [`readings:${made.entry.id}`] : [], () => {
    setArrived(true);
  });
  return (
    <Stack>
      {credentials && <CredentialsPanel credentials={credentials} />}
      {credentials && <Examples credentials={credentials} thing={thing(made)} />}
      <Group justify="space-between">
        {made.kind === 'sensor' ? (
          <div role="status">{arrived ? <State mood="ok">The first reading has arrived</State> : <State mood="busy">Waiting for the first reading</State>}</div>
        ) : (
          <span />
        )}
        <Button onClick={done}>{credentials ? 'I have copied it' : 'Go on'}</Button>
      </Group>
    </Stack>
  );
}

import { Alert, Stack, Tabs } from '@mantine/core';
import { IconKey } from '@tabler/icons-react';
import type { Credentials } from '@/api/types';
import { CopyLine, Snippet } from '@/ui/copy';
import { examples, type Thing } from './snippets';

/** How a connector signs in; the secret is there only right after it was made. */
export function CredentialsPanel({ credentials }: { credentials: Credentials }) {
  return (
    <Stack gap="sm">
      {credentials.secret !== undefined && credentials.secret !== null && (
        <Alert color="yellow" variant="light" icon={<IconKey size={18} aria-hidden />} title="Copy the secret now" styles={{ title: { color: 'var(--warn)' }, message: { color: 'var(--ink)' } }}>
          It is shown only this once. Should it get lost, make a new one on the connector’s page.
        </Alert>
      )}
      <div>
        <CopyLine label="User name" text={credentials.username} />
        {credentials.secret !== undefined && credentials.secret !== null && <CopyLine label="Secret" text={credentials.secret} />}
        <CopyLine label="MQTT" text={`${credentials.mqtt.host}:${String(credentials.mqtt.port)}`} />
        <CopyLine label="HTTP" text={`http://${credentials.http.host}:${String(credentials.http.port)}`} />
      </div>
    </Stack>
  );
}

/** Paste-ready commands. */
export function Examples({ credentials, thing }: { credentials: Credentials; thing: Thing }) {
  const shown = examples(credentials, thing);
  return (
    <Tabs defaultValue="0">
      <Tabs.List mb="xs">
        {/* Ids are made of the values: they may have no spaces. */}
        {shown.map(({ label }, index) => (
          <Tabs.Tab key={label} value={String(index)}>
            {label}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {shown.map(({ label, text }, index) => (
        <Tabs.Panel key={label} value={String(index)}>
          <Snippet label="shell" text={text} />
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}

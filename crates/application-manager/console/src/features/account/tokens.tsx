import { ActionIcon, Alert, Button, Group, Select, Stack, TextInput } from '@mantine/core';
import { IconKey, IconTrash } from '@tabler/icons-react';
import { useInfiniteQuery, useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type SyntheticEvent } from 'react';
import { api, ask } from '@/api/client';
import { listOptions, PART } from '@/api/lists';
import type { Token } from '@/api/types';
import { confirm } from '@/ui/confirm';
import { Snippet } from '@/ui/copy';
import { moment } from '@/ui/format';
import { Empty, Outcome } from '@/ui/outcome';
import { Panel } from '@/ui/panel';
import { ProblemNote } from '@/ui/problem';
import { Table } from '@/ui/table';

const tokenListOptions = listOptions(['tokens'], (after) => ask(api.GET('/api/v1/tokens', { params: { query: { after, limit: PART } } })));

const LIFETIMES = [
  { value: '30', label: '30 days' },
  { value: '365', label: 'a year' },
  { value: 'ever', label: 'without end' },
];

/** API tokens: what programs sign in with. */
export function Tokens() {
  const client = useQueryClient();
  const tokens = useInfiniteQuery(tokenListOptions);
  const renew = () => client.invalidateQueries({ queryKey: ['tokens'] });
  const remove = (token: Token) => {
    confirm({
      title: `End the token ${token.name}?`,
      text: 'Programs that use it are refused from then on.',
      deed: 'End it',
      act: async () => {
        await ask(api.DELETE('/api/v1/tokens/{id}', { params: { path: { id: token.id } } }));
        await renew();
      },
    });
  };
  return (
    <Panel title="API tokens" flush>
      <Outcome of={tokens}>
        {(rows) =>
          rows.length === 0 ? (
            <Empty icon={IconKey} title="No tokens yet">
              A program signs in with a token in your name, for instance to upload a version from a build server.
            </Empty>
          ) : (
            <Table
              label="API tokens"
              rows={rows}
              id={(token) => token.id}
              columns={[
                { title: 'For', cell: (token) => <strong>{token.name}</strong> },
                { title: 'Made', cell: (token) => moment(token.created), wideOnly: true },
                { title: 'Ends', cell: (token) => (token.expires ? moment(token.expires) : 'never') },
                {
                  title: '',
                  end: true,
                  cell: (token) => (
                    <ActionIcon
                      variant="subtle"
                      color="gray"
                      aria-label={`end the token ${token.name}`}
                      onClick={() => {
                        remove(token);
                      }}
                    >
                      <IconTrash size={16} />
                    </ActionIcon>
                  ),
                },
              ]}
            />
          )
        }
      </Outcome>
      <div style={{ padding: '14px 18px 18px', borderTop: '1px solid var(--line)' }}>
        <NewToken made={renew} />
      </div>
    </Panel>
  );
}

function NewToken({ made }: { made: () => unknown }) {
  const [name, setName] = useState('');
  const [lifetime, setLifetime] = useState('365');
  const create = useMutation({
    mutationFn: () => ask(api.POST('/api/v1/tokens', { body: { name: name.trim(), expires_days: lifetime === 'ever' ? undefined : Number(lifetime) } })),
    onSuccess: () => {
      setName('');
      made();
    },
  });
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (name.trim() !== '') create.mutate();
  };
  return (
    <Stack gap="sm">
      <form onSubmit={submit}>
        <Group align="flex-end">
          <TextInput
            label="New token for"
            placeholder="build server"
            value={name}
            onChange={(event) => {
              setName(event.currentTarget.value);
            }}
          />
          <Select
            label="Holds for"
            w={150}
            data={LIFETIMES}
            value={lifetime}
            onChange={(value) => {
              setLifetime(value ?? '365');
            }}
          />
          <Button type="submit" variant="default" loading={create.isPending} disabled={name.trim() === ''}>
            Make it
          </Button>
        </Group>
      </form>
      <ProblemNote error={create.error} />
      {create.data && (
        <Alert color="yellow" variant="light" icon={<IconKey size={18} aria-hidden />} title="Copy the token now" styles={{ title: { color: 'var(--warn)' }, message: { color: 'var(--ink)' } }}>
          It is shown only this once.
          <Snippet label="token" text={create.data.token} />
        </Alert>
      )}
    </Stack>
  );
}

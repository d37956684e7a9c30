import { ActionIcon, Button, Group, Select, Stack, TextInput } from '@mantine/core';
import { IconTrash } from '@tabler/icons-react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type SyntheticEvent } from 'react';
import { api, change, seen } from '@/api/client';
import type { Grant, Location } from '@/api/types';
import { Panel } from '@/ui/panel';
import { ProblemNote } from '@/ui/problem';
import classes from './grants.module.css';

const RIGHTS: { value: Grant['right']; label: string }[] = [
  { value: 'use', label: 'may use it' },
  { value: 'manage', label: 'may manage it' },
];

/** Who may do what at a place and in everything within. */
export function GrantsPanel({ location }: { location: Location }) {
  const client = useQueryClient();
  const [user, setUser] = useState('');
  const [right, setRight] = useState<Grant['right']>('use');
  const save = useMutation({
    mutationFn: (grants: Grant[]) => change(api.PATCH('/api/v1/locations/{id}', { params: { path: { id: location.id } }, headers: seen(location), body: { grants } })),
    onSuccess: () => client.invalidateQueries({ queryKey: ['locations'] }),
  });
  const add = (event: SyntheticEvent) => {
    event.preventDefault();
    const name = user.trim();
    save.mutate([...location.grants, name === '' ? { right } : { right, user: name }]);
  };
  return (
    <Panel title="Rights here and within">
      <Stack gap="sm">
        {location.grants.length === 0 ? (
          <p className="soft small" style={{ margin: 0 }}>
            Nobody has a right by this place itself. Rights further up hold here as well; admins may everything.
          </p>
        ) : (
          <ul className={classes.list}>
            {location.grants.map((grant, index) => (
              <li key={`${grant.user ?? ''} ${grant.right}`}>
                <strong>{grant.user ?? 'Everyone'}</strong> {grant.right === 'manage' ? 'may manage it' : 'may use it'}
                <ActionIcon
                  variant="subtle"
                  color="gray"
                  aria-label={`take the right from ${grant.user ?? 'everyone'}`}
                  onClick={() => {
                    save.mutate(location.grants.filter((_, other) => other !== index));
                  }}
                >
                  <IconTrash size={15} />
                </ActionIcon>
              </li>
            ))}
          </ul>
        )}
        <form onSubmit={add}>
          <Group align="flex-end" gap="sm">
            <TextInput
              label="Sign-in name"
              placeholder="empty: everyone"
              flex={1}
              miw={140}
              value={user}
              onChange={(event) => {
                setUser(event.currentTarget.value);
              }}
            />
            <Select
              label="Right"
              w={160}
              data={RIGHTS}
              value={right}
              onChange={(value) => {
                setRight((value ?? 'use') as Grant['right']);
              }}
            />
            <Button type="submit" variant="default" loading={save.isPending}>
              Give
            </Button>
          </Group>
        </form>
        <ProblemNote error={save.error} />
      </Stack>
    </Panel>
  );
}

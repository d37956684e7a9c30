import { Button, Group, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconKey, IconTrash, IconUserOff } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useParams } from '@tanstack/react-router';
import { useState } from 'react';
import { api, ask, seen } from '@/api/client';
import type { User } from '@/api/types';
import { useMe } from '@/features/session/session';
import { confirm, tellDone } from '@/ui/confirm';
import { CopyLine } from '@/ui/copy';
import { moment } from '@/ui/format';
import { Page } from '@/ui/page';
import { PageOf } from '@/ui/page-of';
import { Panel } from '@/ui/panel';
import { ProblemNote } from '@/ui/problem';
import { State } from '@/ui/state';
import { userOptions } from './data';
import { newPassword } from './password';
import { RoleFields } from './roles';

export function UserPage() {
  const { name } = useParams({ strict: false }) as { name: string };
  const user = useQuery(userOptions(name));
  return <PageOf of={user}>{(data) => <Shown user={data} />}</PageOf>;
}

function Shown({ user }: { user: User }) {
  return (
    <Page
      title={user.title}
      narrow
      up={{ to: '/users', label: 'Users' }}
      badge={user.disabled ? <State mood="bad">Disabled</State> : undefined}
      lead={`Signs in as ${user.name} · made ${moment(user.created)}`}
      actions={<Actions user={user} />}
    >
      <Panel title="Account">
        <UserForm key={user.version} user={user} />
      </Panel>
      <PasswordPanel user={user} />
    </Page>
  );
}

function useChange(user: User) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: { title?: string; roles?: User['roles']; email?: string; webhook?: string; disabled?: boolean; password?: string }) =>
      ask(api.PATCH('/api/v1/users/{name}', { params: { path: { name: user.name } }, headers: seen(user), body })),
    onSuccess: () => client.invalidateQueries({ queryKey: ['users'] }),
  });
}

function UserForm({ user }: { user: User }) {
  const save = useChange(user);
  const form = useForm({ initialValues: { title: user.title, roles: user.roles, email: user.email ?? '', webhook: user.webhook ?? '' } });
  return (
    <form
      onSubmit={form.onSubmit((values) => {
        save.mutate(values, {
          onSuccess: () => {
            tellDone(`${values.title} is saved`);
          },
        });
      })}
    >
      <Stack>
        <TextInput label="Full name" {...form.getInputProps('title')} />
        <RoleFields value={form.values.roles} onChange={(roles) => { form.setFieldValue('roles', roles); }} />
        <TextInput label="Mail address" type="email" {...form.getInputProps('email')} />
        <TextInput label="Webhook" placeholder="https://" {...form.getInputProps('webhook')} />
        <ProblemNote error={save.error} />
        <Group>
          <Button type="submit" loading={save.isPending} disabled={!form.isDirty()}>
            Save
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function PasswordPanel({ user }: { user: User }) {
  const client = useQueryClient();
  const [made, setMade] = useState<string>();
  const renew = () => {
    const password = newPassword();
    confirm({
      title: `Give ${user.title} a new one-time password?`,
      text: 'The old password stops working, and every session of this person ends.',
      deed: 'Make a new one',
      act: async () => {
        await ask(api.PATCH('/api/v1/users/{name}', { params: { path: { name: user.name } }, headers: seen(user), body: { password } }));
        setMade(password);
        await client.invalidateQueries({ queryKey: ['users', 'list'] });
      },
    });
  };
  return (
    <Panel title="Password">
      <Stack align="flex-start">
        {made === undefined ? (
          <p className="soft small" style={{ margin: 0 }}>
            Nobody can read it. Who forgot it gets a new one that works once.
          </p>
        ) : (
          <div style={{ width: '100%' }}>
            <CopyLine label="Password" text={made} />
          </div>
        )}
        <Button variant="default" leftSection={<IconKey size={16} aria-hidden />} onClick={renew}>
          New one-time password
        </Button>
      </Stack>
    </Panel>
  );
}

function Actions({ user }: { user: User }) {
  const me = useMe();
  const client = useQueryClient();
  const navigate = useNavigate();
  const disable = useChange(user);
  if (me.id === user.id) return null;
  const toggle = () => {
    if (user.disabled) {
      disable.mutate({ disabled: false });
      return;
    }
    confirm({
      title: `Disable ${user.title}?`,
      text: 'Every session ends at once and signing in is refused. Schedules and instances go on.',
      deed: 'Disable',
      act: () => disable.mutateAsync({ disabled: true }),
    });
  };
  const remove = () => {
    confirm({
      title: `Delete ${user.title}?`,
      text: 'The account, its sessions and its API tokens are gone for good.',
      deed: 'Delete',
      act: async () => {
        await ask(api.DELETE('/api/v1/users/{name}', { params: { path: { name: user.name } } }));
        await client.invalidateQueries({ queryKey: ['users', 'list'] });
        await navigate({ to: '/users' });
      },
      done: `${user.title} is deleted`,
    });
  };
  return (
    <>
      <Button variant="default" leftSection={<IconUserOff size={16} aria-hidden />} onClick={toggle}>
        {user.disabled ? 'Enable' : 'Disable'}
      </Button>
      <Button variant="default" leftSection={<IconTrash size={16} aria-hidden />} onClick={remove}>
        Delete
      </Button>
    </>
  );
}

import { Button, Group, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { api, ask, seen } from '@/api/client';
import { ChangePassword } from '@/features/session/change-password';
import { ROLE_WORDS, sessionOptions, useMe } from '@/features/session/session';
import { tellDone } from '@/ui/confirm';
import { Page } from '@/ui/page';
import { Panel } from '@/ui/panel';
import { ProblemNote } from '@/ui/problem';
import { Tokens } from './tokens';

export function AccountPage() {
  const me = useMe();
  return (
    <Page title="Your account" narrow lead={`${me.name} · ${me.roles.map((role) => ROLE_WORDS[role].title).join(', ') || 'no role yet: an admin gives roles'}`}>
      <Panel title="About you">
        <Profile key={me.version} />
      </Panel>
      <Panel title="Password">
        <ChangePassword
          currentLabel="Password as it is"
          submitLabel="Change password"
          done={() => {
            tellDone('Your password is changed; your other sessions have ended');
          }}
        />
      </Panel>
      <Tokens />
    </Page>
  );
}

function Profile() {
  const me = useMe();
  const client = useQueryClient();
  const form = useForm({ initialValues: { title: me.title, email: me.email ?? '', webhook: me.webhook ?? '' } });
  const save = useMutation({
    mutationFn: (body: typeof form.values) => ask(api.PATCH('/api/v1/users/{name}', { params: { path: { name: me.name } }, headers: seen(me), body })),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: sessionOptions.queryKey });
      tellDone('Saved');
    },
  });
  return (
    <form
      onSubmit={form.onSubmit((values) => {
        save.mutate(values);
      })}
    >
      <Stack maw={420}>
        <TextInput label="Full name" autoComplete="name" {...form.getInputProps('title')} />
        <TextInput label="Mail address" description="Notifications are mailed there, where the platform has mail set up" type="email" autoComplete="email" {...form.getInputProps('email')} />
        <TextInput label="Webhook" description="Notifications are posted there as JSON" placeholder="https://" type="url" {...form.getInputProps('webhook')} />
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

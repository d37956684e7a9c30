import { Alert, Button, Group, Modal, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconKey } from '@tabler/icons-react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import type { Role } from '@/api/types';
import { CopyLine } from '@/ui/copy';
import { ProblemNote } from '@/ui/problem';
import { RoleFields } from './roles';

/** A dialogue that makes a user and shows the one-time password once. */
export function NewUser({ opened, close }: { opened: boolean; close: () => void }) {
  return (
    <Modal opened={opened} onClose={close} title="New user" closeOnClickOutside={false}>
      <Steps close={close} />
    </Modal>
  );
}

function Steps({ close }: { close: () => void }) {
  const client = useQueryClient();
  const form = useForm({
    initialValues: { name: '', title: '', roles: ['end_user'] as Role[], email: '' },
    validate: { name: (name) => (/^[a-z][a-z0-9-]{0,39}$/.test(name) ? null : 'lower-case letters, digits and hyphens, beginning with a letter') },
  });
  const create = useMutation({
    mutationFn: (values: typeof form.values) =>
      ask(
        api.POST('/api/v1/users', {
          body: {
            name: values.name,
            title: values.title.trim() === '' ? undefined : values.title.trim(),
            roles: values.roles,
            email: values.email.trim() === '' ? undefined : values.email.trim(),
          },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: ['users'] }),
  });
  if (create.data) return <Made name={create.data.name} title={create.data.title} password={create.data.one_time_password} close={close} />;
  return (
    <form
      onSubmit={form.onSubmit((values) => {
        create.mutate(values);
      })}
    >
      <Stack>
        <TextInput label="Sign-in name" placeholder="ada" autoCapitalize="none" required withAsterisk={false} data-autofocus {...form.getInputProps('name')} />
        <TextInput label="Full name" placeholder="Ada Lovelace" {...form.getInputProps('title')} />
        <RoleFields value={form.values.roles} onChange={(roles) => { form.setFieldValue('roles', roles); }} />
        <TextInput label="Mail address" description="Notifications are mailed there, where mail is set up" type="email" {...form.getInputProps('email')} />
        <ProblemNote error={create.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending}>
            Create user
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function Made({ name, title, password, close }: { name: string; title: string; password: string | null | undefined; close: () => void }) {
  return (
    <Stack>
      <Alert color="yellow" variant="light" icon={<IconKey size={18} aria-hidden />} title={`Hand this to ${title}`} styles={{ title: { color: 'var(--warn)' }, message: { color: 'var(--ink)' } }}>
        The password is shown only this once, and works once: at the first sign-in it must be changed.
      </Alert>
      <div>
        <CopyLine label="Name" text={name} />
        {password !== null && password !== undefined && <CopyLine label="Password" text={password} />}
        <CopyLine label="Address" text={location.origin} />
      </div>
      <Group justify="flex-end">
        <Button onClick={close}>I have copied it</Button>
      </Group>
    </Stack>
  );
}

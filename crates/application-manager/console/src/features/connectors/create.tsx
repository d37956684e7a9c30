import { Button, Group, Modal, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, change } from '@/api/client';
import { LocationSelect } from '@/features/locations/select';
import { ProblemNote } from '@/ui/problem';
import { CredentialsPanel } from './credentials';

/** A dialogue that makes a connector and shows its credential once. */
export function NewConnector({ opened, close }: { opened: boolean; close: () => void }) {
  return (
    <Modal opened={opened} onClose={close} title="New connector" size="lg" closeOnClickOutside={false}>
      <Steps close={close} />
    </Modal>
  );
}

function useCreateConnector() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: { name: string; location: string }) => change(api.POST('/api/v1/connectors', { body })),
    onSuccess: () => client.invalidateQueries({ queryKey: ['connectors'] }),
  });
}

function Steps({ close }: { close: () => void }) {
  const navigate = useNavigate();
  const create = useCreateConnector();
  const [slow, setSlow] = useState(false);
  const form = useForm({
    initialValues: { name: '', location: '' },
    validate: {
      name: (name) => (name.trim() === '' ? 'how people call it' : null),
      location: (location) => (location === '' ? 'where it stands' : null),
    },
  });
  const made = create.data;
  if (made) {
    return (
      <Stack>
        <CredentialsPanel credentials={made.credentials} />
        <Group justify="flex-end">
          <Button
            onClick={() => {
              close();
              void navigate({ to: '/connectors/$id', params: { id: made.id } });
            }}
          >
            I have copied it
          </Button>
        </Group>
      </Stack>
    );
  }
  if (slow) return <p>The connector is made but its secret was not answered in time. Make a new secret on its page.</p>;
  return (
    <form
      onSubmit={form.onSubmit((values) => {
        create.mutate({ name: values.name.trim(), location: values.location }, { onSuccess: (answer) => { setSlow(answer === undefined); } });
      })}
    >
      <Stack>
        <TextInput label="Name" placeholder="Gateway Lab" data-autofocus required withAsterisk={false} {...form.getInputProps('name')} />
        <LocationSelect label="Location" manage {...form.getInputProps('location')} />
        <ProblemNote error={create.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending}>
            Create connector
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

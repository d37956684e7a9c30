import { Button, Group, Modal, Select, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { api, change, seen } from '@/api/client';
import type { Device, Sensor } from '@/api/types';
import { connectorsOptions } from '@/features/connectors/data';
import { LocationSelect } from '@/features/locations/select';
import { ProblemNote } from '@/ui/problem';
import type { Kind } from './register';

interface ChangeProps {
  kind: Kind;
  entry: Sensor | Device;
  opened: boolean;
  close: () => void;
}

/** A dialogue that renames or moves a sensor or device. */
export function Change(props: ChangeProps) {
  return (
    <Modal opened={props.opened} onClose={props.close} title={`Change ${props.entry.name}`}>
      <ChangeForm {...props} />
    </Modal>
  );
}

function ChangeForm({ kind, entry, close }: ChangeProps) {
  const client = useQueryClient();
  const connectors = useQuery(connectorsOptions);
  const form = useForm({
    initialValues: { name: entry.name, location: entry.location.id, connector: entry.connector.id },
    validate: { name: (name) => (name.trim() === '' ? 'how people call it' : null) },
  });
  const save = useMutation({
    mutationFn: async (body: typeof form.values) => {
      const request = { params: { path: { id: entry.id } }, headers: seen(entry), body };
      if (kind === 'sensor') await change(api.PATCH('/api/v1/sensors/{id}', request));
      else await change(api.PATCH('/api/v1/devices/{id}', request));
    },
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: [kind === 'sensor' ? 'sensors' : 'devices'] });
      close();
    },
  });
  return (
    <form
      onSubmit={form.onSubmit((values) => {
        save.mutate(values);
      })}
    >
      <Stack>
        <TextInput label="Name" required withAsterisk={false} data-autofocus {...form.getInputProps('name')} />
        <LocationSelect label="Location" manage {...form.getInputProps('location')} />
        <Select label="Connector" searchable data={(connectors.data ?? []).map(({ id, name, location }) => ({ value: id, label: `${name} (${location.path})` }))} {...form.getInputProps('connector')} />
        <ProblemNote error={save.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending}>
            Save
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

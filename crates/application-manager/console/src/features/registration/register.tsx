import { Button, Group, Modal, Select, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { api, change } from '@/api/client';
import { Problem } from '@/api/problem';
import type { Credentials, Device, Sensor } from '@/api/types';
import { connectorsOptions } from '@/features/connectors/data';
import { LocationSelect } from '@/features/locations/select';
import { typesOptions } from '@/features/types/data';
import { tellDone } from '@/ui/confirm';
import { ProblemNote } from '@/ui/problem';
import { Registered } from './registered';

export type Kind = 'sensor' | 'device';

/** In the place of a connector's id: make one on the way. */
const NEW = 'new';

interface Values {
  name: string;
  type: string;
  location: string;
  connector: string;
  connectorName: string;
}

/** What was made. */
export interface Made {
  kind: Kind;
  entry: Sensor | Device;
  /** Of the connector that was made on the way. */
  credentials: Credentials | undefined;
}

async function register(kind: Kind, values: Values): Promise<Made> {
  let { connector } = values;
  let credentials: Credentials | undefined;
  if (connector === NEW) {
    const made = await change(api.POST('/api/v1/connectors', { body: { name: values.connectorName.trim(), location: values.location } }));
    if (!made) throw new Problem(0, 'slow', 'the connector is made but its secret was not answered in time; choose it from the list and make a new secret on its page');
    connector = made.id;
    credentials = made.credentials;
  }
  const body = { name: values.name.trim(), type: values.type, location: values.location, connector };
  const entry = kind === 'sensor' ? await change(api.POST('/api/v1/sensors', { body })) : await change(api.POST('/api/v1/devices', { body }));
  if (!entry) throw new Problem(0, 'slow', `it takes longer than usual; the ${kind} appears in the list as soon as it is registered`);
  return { kind, entry, credentials };
}

/** A dialogue that registers a sensor or device and shows how it is connected. */
export function Register({ kind, opened, close }: { kind: Kind; opened: boolean; close: () => void }) {
  return (
    <Modal opened={opened} onClose={close} title={kind === 'sensor' ? 'Register a sensor' : 'Register a device'} size="lg" closeOnClickOutside={false}>
      <Steps kind={kind} close={close} />
    </Modal>
  );
}

function Steps({ kind, close }: { kind: Kind; close: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const types = useQuery(typesOptions);
  const connectors = useQuery(connectorsOptions);
  const form = useForm<Values>({
    initialValues: { name: '', type: '', location: '', connector: '', connectorName: '' },
    validate: {
      name: (name) => (name.trim() === '' ? 'how people call it' : null),
      type: (type) => (type === '' ? 'what it is' : null),
      location: (location) => (location === '' ? 'where it is' : null),
      connector: (connector) => (connector === '' ? 'what carries it' : null),
      connectorName: (name, values) => (values.connector === NEW && name.trim() === '' ? 'how people call the connector' : null),
    },
  });
  const done = (made: Made) => {
    close();
    const params = { id: made.entry.id };
    void navigate(kind === 'sensor' ? { to: '/sensors/$id', params } : { to: '/devices/$id', params });
  };
  const create = useMutation({
    mutationFn: (values: Values) => register(kind, values),
    onSettled: () => Promise.all(['sensors', 'devices', 'connectors', 'locations'].map((list) => client.invalidateQueries({ queryKey: [list] }))),
    onSuccess: (made) => {
      tellDone(`${made.entry.name} is registered`);
      if (made.credentials === undefined) done(made);
    },
  });
  if (create.data) return <Registered made={create.data} credentials={create.data.credentials} done={() => { done(create.data); }} />;

  const fitting = (types.data ?? []).filter((type) => type.kind === kind).map((type) => ({ value: type.name, label: type.title }));
  const carriers = [{ value: NEW, label: '＋ New connector' }, ...(connectors.data ?? []).map(({ id, name, location }) => ({ value: id, label: `${name} (${location.path})` }))];
  return (
    <form
      onSubmit={form.onSubmit((values) => {
        create.mutate(values);
      })}
    >
      <Stack>
        <TextInput label="Name" placeholder={kind === 'sensor' ? 'Lab north' : 'Fan at the window'} required withAsterisk={false} data-autofocus {...form.getInputProps('name')} />
        <Select
          label="Type"
          description={fitting.length === 0 && types.isSuccess ? `There is no ${kind} type yet: make one under Types.` : undefined}
          data={fitting}
          searchable
          required
          withAsterisk={false}
          nothingFoundMessage="no such type"
          {...form.getInputProps('type')}
        />
        <LocationSelect label="Location" manage {...form.getInputProps('location')} />
        <Select
          label="Connector"
          description={`The board, gateway or bridge that ${kind === 'sensor' ? 'sends its readings' : 'takes its commands'}`}
          data={carriers}
          searchable
          required
          withAsterisk={false}
          {...form.getInputProps('connector')}
        />
        {form.values.connector === NEW && <TextInput label="Name of the connector" placeholder="Gateway Lab" required withAsterisk={false} {...form.getInputProps('connectorName')} />}
        <ProblemNote error={create.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending}>
            Register
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

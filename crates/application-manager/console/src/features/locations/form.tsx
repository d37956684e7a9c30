import { Autocomplete, Button, Group, Modal, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { api, change, seen } from '@/api/client';
import type { Location } from '@/api/types';
import { ProblemNote } from '@/ui/problem';
import { LocationSelect } from './select';

const KINDS = ['campus', 'building', 'floor', 'room', 'hall', 'garden', 'vehicle'];

interface LocationDialogProps {
  opened: boolean;
  close: () => void;
  /** The one that is changed; none: a new one is made. */
  location?: Location;
  /** Where a new one begins. */
  parent?: string | undefined;
  made?: (id: string) => void;
}

/** A dialogue that makes or changes a place. */
export function LocationDialog(props: LocationDialogProps) {
  return (
    <Modal opened={props.opened} onClose={props.close} title={props.location ? `Change ${props.location.name}` : 'New location'}>
      <LocationForm {...props} />
    </Modal>
  );
}

function LocationForm({ location, parent, close, made }: LocationDialogProps) {
  const client = useQueryClient();
  const form = useForm({
    initialValues: { name: location?.name ?? '', kind: location?.kind ?? (parent ? 'room' : 'building'), parent: (location ? location.parent : parent) ?? null },
    validate: {
      name: (name) => (name.trim() === '' ? 'how people call it' : null),
      kind: (kind) => (kind.trim() === '' ? 'what it is' : null),
    },
  });
  const save = useMutation({
    mutationFn: (values: typeof form.values) => {
      const body = { name: values.name.trim(), kind: values.kind.trim(), parent: values.parent ?? undefined };
      return location
        ? change(api.PATCH('/api/v1/locations/{id}', { params: { path: { id: location.id } }, headers: seen(location), body }))
        : change(api.POST('/api/v1/locations', { body: { ...body, grants: [] } }));
    },
    onSuccess: async (saved) => {
      await client.invalidateQueries({ queryKey: ['locations'] });
      close();
      if (saved) made?.(saved.id);
    },
  });
  return (
    <form
      onSubmit={form.onSubmit((values) => {
        save.mutate(values);
      })}
    >
      <Stack>
        <TextInput label="Name" placeholder="Lab" required withAsterisk={false} data-autofocus {...form.getInputProps('name')} />
        <Autocomplete label="Kind" data={KINDS} required withAsterisk={false} {...form.getInputProps('kind')} />
        <LocationSelect label="Within" manage required={false} none={location === undefined ? 'nothing: it stands on its own' : undefined} without={location?.id} {...form.getInputProps('parent')} />
        <ProblemNote error={save.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending}>
            {location ? 'Save' : 'Create location'}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

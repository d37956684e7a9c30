import { Button, Group, Modal, NumberInput, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconPlus } from '@tabler/icons-react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { api, change } from '@/api/client';
import { Choices } from '@/ui/choices';
import { tellDone } from '@/ui/confirm';
import { ProblemNote } from '@/ui/problem';
import { finished, newCommand, newDraft, newProperty, slug, type Draft } from './draft';
import { CommandFields, PropertyFields } from './fields';

/** A dialogue that makes a type. */
export function NewType({ opened, close }: { opened: boolean; close: () => void }) {
  return (
    <Modal opened={opened} onClose={close} title="New type" size="lg">
      <TypeForm close={close} />
    </Modal>
  );
}

function TypeForm({ close }: { close: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const form = useForm<Draft>({
    initialValues: newDraft(),
    validate: {
      title: (title) => (slug(title) === '' ? 'a title with at least one letter' : null),
      properties: (list, draft) => (draft.kind === 'sensor' && list.every(({ title }) => title.trim() === '') ? 'at least one' : null),
      commands: (list, draft) => (draft.kind === 'device' && list.every(({ title }) => title.trim() === '') ? 'at least one' : null),
    },
  });
  const create = useMutation({
    mutationFn: (draft: Draft) => change(api.POST('/api/v1/types', { body: finished(draft) })),
    onSuccess: async (_, draft) => {
      await client.invalidateQueries({ queryKey: ['types'] });
      close();
      tellDone(`${draft.title.trim()} is a type now`);
      void navigate({ to: '/types/$name', params: { name: finished(draft).name } });
    },
  });
  const { kind, title } = form.values;
  return (
    <form
      onSubmit={form.onSubmit((draft) => {
        create.mutate(draft);
      })}
    >
      <Stack>
        <Choices
          label="of sensors or devices"
          options={[
            { value: 'sensor', label: 'Of sensors', text: 'They measure.' },
            { value: 'device', label: 'Of devices', text: 'They take commands.' },
          ]}
          value={kind}
          choose={(chosen) => { form.setFieldValue('kind', chosen as Draft['kind']); }}
        />
        <TextInput
          label="Title"
          placeholder={kind === 'sensor' ? 'Temperature' : 'Fan'}
          description={title !== '' && form.values.name === '' ? `Manifests name it ${slug(title)}` : 'What people see'}
          required
          withAsterisk={false}
          data-autofocus
          {...form.getInputProps('title')}
        />
        {kind === 'sensor' ? (
          <>
            <NumberInput
              label="Sends every"
              suffix=" s"
              description="A sensor that is silent for much longer is marked. Empty: no expectation."
              min={1}
              allowDecimal={false}
              {...form.getInputProps('interval')}
            />
            <Stack gap="sm" role="group" aria-label="what it measures">
              {form.values.properties.map((_, index) => (
                <PropertyFields key={index} form={form} at={`properties.${String(index)}`} remove={form.values.properties.length > 1 ? () => { form.removeListItem('properties', index); } : undefined} />
              ))}
              <Group>
                <Button variant="subtle" leftSection={<IconPlus size={14} aria-hidden />} onClick={() => { form.insertListItem('properties', newProperty()); }}>
                  It measures more
                </Button>
              </Group>
            </Stack>
          </>
        ) : (
          <Stack gap="sm" role="group" aria-label="what it can do">
            {form.values.commands.map((_, index) => (
              <CommandFields key={index} form={form} index={index} />
            ))}
            <Group>
              <Button variant="subtle" leftSection={<IconPlus size={14} aria-hidden />} onClick={() => { form.insertListItem('commands', newCommand()); }}>
                It can do more
              </Button>
            </Group>
          </Stack>
        )}
        <ProblemNote error={create.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending}>
            Create type
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

import { ActionIcon, Autocomplete, Button, Group, NumberInput, Paper, Select, SimpleGrid, Stack, TextInput } from '@mantine/core';
import type { UseFormReturnType } from '@mantine/form';
import { IconPlus, IconTrash } from '@tabler/icons-react';
import { newArgument, type Draft } from './draft';

/** Frequent units of the SenML registry. */
const UNITS = ['Cel', '%RH', 'lx', 'Pa', 'm/s', 'W', 'kWh', 'V', 'A', 'm', 'kg', 'ppm', '%', 'dB', 'count'];

const ARGUMENT_TYPES = [
  { value: 'boolean', label: 'Yes or no' },
  { value: 'number', label: 'Number' },
  { value: 'integer', label: 'Whole number' },
  { value: 'string', label: 'Text' },
  { value: 'choice', label: 'One of…' },
];

interface FieldsProps {
  form: UseFormReturnType<Draft>;
  /** Path of the entry in the draft. */
  at: string;
  remove: (() => void) | undefined;
}

function Limits({ form, at }: { form: UseFormReturnType<Draft>; at: string }) {
  return (
    <>
      <Autocomplete label="Unit" placeholder="Cel" data={UNITS} {...form.getInputProps(`${at}.unit`)} />
      <NumberInput label="From" placeholder="any" {...form.getInputProps(`${at}.minimum`)} />
      <NumberInput label="To" placeholder="any" {...form.getInputProps(`${at}.maximum`)} />
    </>
  );
}

/** What a sensor measures. */
export function PropertyFields({ form, at, remove }: FieldsProps) {
  return (
    <Paper withBorder p="sm" radius="md">
      <Group align="flex-end" wrap="nowrap">
        <SimpleGrid cols={{ base: 2, sm: 4 }} spacing="sm" flex={1}>
          <TextInput label="Measures" placeholder="Temperature" {...form.getInputProps(`${at}.title`)} />
          <Limits form={form} at={at} />
        </SimpleGrid>
        {remove && (
          <ActionIcon variant="subtle" color="gray" size="lg" aria-label="remove" onClick={remove}>
            <IconTrash size={16} />
          </ActionIcon>
        )}
      </Group>
    </Paper>
  );
}

/** What a device can do, with its arguments. */
export function CommandFields({ form, index }: { form: UseFormReturnType<Draft>; index: number }) {
  const at = `commands.${String(index)}`;
  const command = form.values.commands[index];
  return (
    <Paper withBorder p="sm" radius="md">
      <Stack gap="sm">
        <TextInput label="Can do" placeholder="Switch" {...form.getInputProps(`${at}.title`)} />
        {command?.arguments.map((argument, position) => {
          const here = `${at}.arguments.${String(position)}`;
          return (
            <Group key={position} align="flex-end" wrap="nowrap">
              <SimpleGrid cols={{ base: 2, sm: argument.type === 'number' || argument.type === 'integer' ? 5 : 3 }} spacing="sm" flex={1}>
                <TextInput label="With" placeholder="On" {...form.getInputProps(`${here}.title`)} />
                <Select label="Which is" data={ARGUMENT_TYPES} {...form.getInputProps(`${here}.type`)} />
                {(argument.type === 'number' || argument.type === 'integer') && <Limits form={form} at={here} />}
                {argument.type === 'choice' && <TextInput label="Choices" placeholder="low, high" {...form.getInputProps(`${here}.choices`)} />}
              </SimpleGrid>
              <ActionIcon variant="subtle" color="gray" size="lg" aria-label="remove" onClick={() => { form.removeListItem(`${at}.arguments`, position); }}>
                <IconTrash size={16} />
              </ActionIcon>
            </Group>
          );
        })}
        <Group>
          <Button size="compact-sm" variant="subtle" leftSection={<IconPlus size={14} aria-hidden />} onClick={() => { form.insertListItem(`${at}.arguments`, newArgument()); }}>
            Add a value that it takes
          </Button>
        </Group>
      </Stack>
    </Paper>
  );
}

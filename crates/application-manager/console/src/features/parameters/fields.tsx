import { NumberInput, Select, Stack, Switch, TextInput } from '@mantine/core';
import type { Parameter, Value } from '@/api/types';
import { figure, unit, words } from '@/ui/format';
import type { Entered, Parameters } from './values';

interface FieldsProps {
  parameters: Parameters;
  entered: Entered;
  errors: Record<string, string>;
  set: (name: string, value: Value) => void;
}

function limits({ minimum, maximum, unit: code }: Parameter): string | undefined {
  const of = unit(code);
  if (typeof minimum === 'number' && typeof maximum === 'number') return `${figure(minimum)} to ${figure(maximum)}${of}`;
  if (typeof minimum === 'number') return `${figure(minimum)}${of} or more`;
  if (typeof maximum === 'number') return `${figure(maximum)}${of} or less`;
  return undefined;
}

/** A form that a manifest or a device type describes. */
export function ParameterFields({ parameters, entered, errors, set }: FieldsProps) {
  return (
    <Stack gap="md">
      {Object.entries(parameters).map(([name, parameter]) => (
        <Field
          key={name}
          label={parameter.title ?? words(name)}
          parameter={parameter}
          value={entered[name] ?? ''}
          error={errors[name]}
          set={(value) => {
            set(name, value);
          }}
        />
      ))}
    </Stack>
  );
}

interface FieldProps {
  label: string;
  parameter: Parameter;
  value: Value;
  error: string | undefined;
  set: (value: Value) => void;
}

function Field({ label, parameter, value, error, set }: FieldProps) {
  switch (parameter.type) {
    case 'boolean':
      return (
        <Switch
          label={label}
          checked={value === true}
          onChange={(event) => {
            set(event.currentTarget.checked);
          }}
        />
      );
    case 'number':
    case 'integer':
      return (
        <NumberInput
          label={label}
          description={limits(parameter)}
          suffix={unit(parameter.unit)}
          allowDecimal={parameter.type === 'number'}
          value={typeof value === 'boolean' ? '' : value}
          error={error}
          maw={280}
          onChange={set}
        />
      );
    case 'choice':
      return <Select label={label} data={parameter.choices ?? []} value={String(value) || null} error={error} maw={280} onChange={(chosen) => { set(chosen ?? ''); }} />;
    case 'string':
      return <TextInput label={label} value={String(value)} error={error} onChange={(event) => { set(event.currentTarget.value); }} />;
  }
}

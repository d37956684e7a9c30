import type { CommandSpec, Parameter, Property, TypeFacts } from '@/api/types';

/** A type as it is being written. */
export interface Draft {
  title: string;
  name: string;
  kind: 'sensor' | 'device';
  interval: number | '';
  properties: DraftProperty[];
  commands: DraftCommand[];
}

export interface DraftProperty {
  title: string;
  unit: string;
  minimum: number | '';
  maximum: number | '';
}

export interface DraftCommand {
  title: string;
  arguments: DraftArgument[];
}

export interface DraftArgument extends DraftProperty {
  type: Parameter['type'];
  choices: string;
}

export const newProperty = (): DraftProperty => ({ title: '', unit: '', minimum: '', maximum: '' });
export const newArgument = (): DraftArgument => ({ ...newProperty(), type: 'boolean', choices: '' });
export const newCommand = (): DraftCommand => ({ title: '', arguments: [] });
export const newDraft = (): Draft => ({
  title: '',
  name: '',
  kind: 'sensor',
  interval: 60,
  properties: [newProperty()],
  commands: [newCommand()],
});

/** Returns a title as a name in manifests and messages. */
export function slug(title: string): string {
  return title
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, 40);
}

function key(title: string): string {
  return slug(title).replaceAll('-', '_');
}

function number(value: number | ''): number | undefined {
  return value === '' ? undefined : value;
}

function property(draft: DraftProperty): Property {
  return {
    title: draft.title.trim(),
    unit: draft.unit === '' ? undefined : draft.unit,
    minimum: number(draft.minimum),
    maximum: number(draft.maximum),
  };
}

function argument(draft: DraftArgument): Parameter {
  const numeric = draft.type === 'number' || draft.type === 'integer';
  return {
    type: draft.type,
    title: draft.title.trim(),
    ...(numeric ? { unit: draft.unit === '' ? undefined : draft.unit, minimum: number(draft.minimum), maximum: number(draft.maximum) } : {}),
    ...(draft.type === 'choice' ? { choices: draft.choices.split(',').map((choice) => choice.trim()).filter((choice) => choice !== '') } : {}),
  };
}

function command(draft: DraftCommand): CommandSpec {
  return {
    title: draft.title.trim(),
    arguments: Object.fromEntries(draft.arguments.filter(({ title }) => title.trim() !== '').map((each) => [key(each.title), argument(each)])),
  };
}

/** Returns the type that a draft describes. */
export function finished(draft: Draft): Omit<TypeFacts, 'used_by' | 'version'> {
  const named = <T extends { title: string }>(list: T[]): T[] => list.filter(({ title }) => title.trim() !== '');
  return {
    name: draft.name === '' ? slug(draft.title) : draft.name,
    title: draft.title.trim(),
    kind: draft.kind,
    ...(draft.kind === 'sensor'
      ? {
          properties: Object.fromEntries(named(draft.properties).map((each) => [key(each.title), property(each)])),
          expected_interval_seconds: number(draft.interval),
        }
      : { commands: Object.fromEntries(named(draft.commands).map((each) => [key(each.title), command(each)])) }),
  };
}

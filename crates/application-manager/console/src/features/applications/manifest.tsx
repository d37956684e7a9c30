import type { Manifest, Parameter } from '@/api/types';
import { range } from '@/features/types/data';
import { valueWithUnit, words } from '@/ui/format';
import { Empty } from '@/ui/outcome';
import { Panel } from '@/ui/panel';
import { Table } from '@/ui/table';

type Slot = NonNullable<Manifest['slots']>[string];

/** Says how many a slot takes: `1`, `1 or more`, `up to 3`. */
export function howMany({ min = 1, max }: { min?: number; max?: number | null }): string {
  if (max === null || max === undefined) return min === 0 ? 'any number' : `${String(min)} or more`;
  if (min === max) return String(min);
  return min === 0 ? `up to ${String(max)}` : `${String(min)} to ${String(max)}`;
}

/** What the application needs at a place. */
export function Needs({ manifest }: { manifest: Manifest }) {
  const slots = Object.entries(manifest.slots ?? {});
  return (
    <Panel title="Needs at its place" flush>
      {slots.length === 0 ? (
        <Empty title="Nothing">It runs anywhere.</Empty>
      ) : (
        <Table<[string, Slot]>
          label="what it needs"
          rows={slots}
          id={([name]) => name}
          columns={[
            { title: 'For', cell: ([name, slot]) => slot.title ?? words(name) },
            { title: 'Type', cell: ([, slot]) => (slot.sensor ? `${words(slot.sensor)} sensor` : `${words(slot.device ?? '')} (device)`) },
            { title: 'How many', cell: ([, slot]) => howMany(slot), end: true },
          ]}
        />
      )}
    </Panel>
  );
}

function preset(parameter: Parameter): string {
  const value = parameter.default;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return valueWithUnit(value, parameter.unit);
  return 'must be given';
}

function allowed(parameter: Parameter): string {
  if (parameter.type === 'boolean') return 'yes or no';
  if (parameter.type === 'choice') return (parameter.choices ?? []).join(', ');
  if (parameter.type === 'string') return 'text';
  return range(parameter);
}

/** What the end user may set. */
export function Settings({ manifest }: { manifest: Manifest }) {
  const parameters = Object.entries(manifest.parameters ?? {});
  return (
    <Panel title="What you may set" flush>
      {parameters.length === 0 ? (
        <Empty title="Nothing">It has no parameters.</Empty>
      ) : (
        <Table<[string, Parameter]>
          label="what you may set"
          rows={parameters}
          id={([name]) => name}
          columns={[
            { title: 'Parameter', cell: ([name, parameter]) => parameter.title ?? words(name) },
            { title: 'Allowed', cell: ([, parameter]) => allowed(parameter) },
            { title: 'Unless changed', cell: ([, parameter]) => preset(parameter), end: true },
          ]}
        />
      )}
    </Panel>
  );
}

import { Link } from '@tanstack/react-router';
import type { BoundSlot, Instance } from '@/api/types';
import { useSlotTitles } from '@/features/applications/data';
import { words } from '@/ui/format';
import { Empty } from '@/ui/outcome';
import { Panel } from '@/ui/panel';
import { Table } from '@/ui/table';

type Row = BoundSlot['members'][number] & { slot: string; kind: BoundSlot['kind'] };

function slots(instance: Instance): [string, BoundSlot][] {
  return instance.binding?.state === 'bound' ? Object.entries(instance.binding.slots) : [];
}

/** Returns the ids of the sensors that an instance is bound to. */
export function boundSensors(instance: Instance): string[] {
  const ids = slots(instance).flatMap(([, slot]) => (slot.kind === 'sensor' ? slot.members.map(({ id }) => id) : []));
  return [...new Set(ids)].sort();
}

/** What the slots of an instance are bound to. */
export function Bound({ instance }: { instance: Instance }) {
  const titles = useSlotTitles(instance.application);
  const rows: Row[] = slots(instance).flatMap(([slot, { kind, members }]) => members.map((member) => ({ ...member, slot, kind })));
  return (
    <Panel title="Bound to" flush>
      {rows.length === 0 ? (
        <Empty title="Bound to nothing">{instance.binding?.state === 'released' ? 'It is over, and its sensors and devices are free.' : 'Sensors and devices of the place appear here as soon as they match.'}</Empty>
      ) : (
        <Table<Row>
          label="bound sensors and devices"
          rows={rows}
          id={(row) => `${row.slot} ${row.id}`}
          columns={[
            {
              title: 'Name',
              cell: (row) =>
                row.kind === 'sensor' ? (
                  <Link to="/sensors/$id" params={{ id: row.id }}>
                    {row.name}
                  </Link>
                ) : (
                  <Link to="/devices/$id" params={{ id: row.id }}>
                    {row.name}
                  </Link>
                ),
            },
            { title: 'As', cell: (row) => titles[row.slot] ?? words(row.slot) },
            { title: 'Location', cell: (row) => row.location },
          ]}
        />
      )}
    </Panel>
  );
}

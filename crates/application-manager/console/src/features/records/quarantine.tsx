import { IconShieldCheck } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api, ask } from '@/api/client';
import { listOptions } from '@/api/lists';
import type { Refused } from '@/api/types';
import { List } from '@/ui/list';
import { Ago } from '@/ui/moment';
import { Empty } from '@/ui/outcome';
import { Page } from '@/ui/page';
import type { Column } from '@/ui/table';

const PART = 100;

const quarantineOptions = listOptions(['quarantine'], (after) => ask(api.GET('/api/v1/quarantine', { params: { query: { after, limit: PART } } })));

const COLUMNS: Column<Refused>[] = [
  {
    title: 'Sensor',
    cell: ({ sensor, named }) =>
      sensor ? (
        <Link to="/sensors/$id" params={{ id: sensor.id }}>
          {sensor.name}
        </Link>
      ) : (
        <span>
          unknown: <code className="mono">{named}</code>
        </span>
      ),
  },
  { title: 'Why', cell: (entry) => entry.reason },
  { title: 'What was sent', cell: (entry) => <code className="mono">{entry.sample}</code> },
  { title: 'By', cell: (entry) => entry.connector.name },
  { title: 'When', cell: (entry) => <Ago at={entry.received} />, end: true },
];

export function QuarantinePage() {
  const entries = useInfiniteQuery({ ...quarantineOptions, refetchInterval: 10_000 });
  return (
    <Page title="Refused readings" lead="What your connectors sent and the platform did not take: it did not parse, was out of range, or came for a sensor that is not registered. Kept for a week.">
      <List
        label="refused readings"
        of={entries}
        columns={COLUMNS}
        id={(entry) => `${entry.received} ${entry.named} ${entry.sample}`}
        text={(entry) => `${entry.sensor?.name ?? entry.named} ${entry.connector.name} ${entry.reason} ${entry.sample}`}
        empty={
          <Empty icon={IconShieldCheck} title="Every reading was good">
            A reading that can not be true never reaches an application; it would lie here, with the reason.
          </Empty>
        }
      />
    </Page>
  );
}

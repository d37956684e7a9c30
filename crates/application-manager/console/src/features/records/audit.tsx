import { IconListDetails } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import { listOptions } from '@/api/lists';
import type { Audit } from '@/api/types';
import { List } from '@/ui/list';
import { Ago } from '@/ui/moment';
import { Empty } from '@/ui/outcome';
import { Page } from '@/ui/page';
import { State } from '@/ui/state';
import type { Column } from '@/ui/table';
import { deed } from './deed';

const PART = 100;
const REFUSED = 400;

const auditOptions = listOptions(['audit'], (after) => ask(api.GET('/api/v1/audit', { params: { query: { after, limit: PART } } })));

const COLUMNS: Column<Audit>[] = [
  { title: 'Who', cell: (entry) => <strong>{entry.actor}</strong> },
  { title: 'What', cell: (entry) => deed(entry.action) },
  { title: 'To', cell: (entry) => entry.subject, wideOnly: true },
  { title: 'Came of it', cell: (entry) => (entry.status < REFUSED ? <State mood="ok">Done</State> : <State mood="warn">{`Refused (${String(entry.status)})`}</State>) },
  { title: 'From', cell: (entry) => <span className="figures">{entry.address}</span>, wideOnly: true },
  { title: 'When', cell: (entry) => <Ago at={entry.at} />, end: true },
];

export function AuditPage() {
  const entries = useInfiniteQuery({ ...auditOptions, refetchInterval: 10_000 });
  return (
    <Page title="Audit" lead="Who changed what, kept for 90 days.">
      <List
        label="audit entries"
        of={entries}
        columns={COLUMNS}
        id={(entry) => `${entry.at} ${entry.actor} ${entry.action} ${entry.subject}`}
        text={(entry) => `${entry.actor} ${deed(entry.action)} ${entry.subject} ${entry.address}`}
        empty={
          <Empty icon={IconListDetails} title="Nothing was changed yet">
            Every change through the console or the API appears here.
          </Empty>
        }
      />
    </Page>
  );
}

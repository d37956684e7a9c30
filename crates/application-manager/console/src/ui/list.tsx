import { TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import type { InfiniteData, UseInfiniteQueryResult } from '@tanstack/react-query';
import { useDeferredValue, useState, type ReactNode } from 'react';
import { Empty, Outcome } from './outcome';
import { Panel } from './panel';
import { Table, type Column, type Target } from './table';

interface ListProps<Row> {
  label: string;
  of: UseInfiniteQueryResult<Row[]> | UseInfiniteQueryResult<InfiniteData<never>>;
  columns: Column<Row>[];
  id: (row: Row) => string;
  target?: (row: Row) => Target | undefined;
  /** What is searched in a row. */
  text: (row: Row) => string;
  /** Shown where there is nothing yet. */
  empty: ReactNode;
  /** Further filters, beside the search. */
  filters?: ReactNode;
  /** Whether a filter hides rows: then nothing to show is no invitation. */
  filtered?: boolean;
}

/** Below this many rows a search field is clutter. */
const FEW = 6;

/** A list with all its states. */
export function List<Row>({ label, of, columns, id, target, text, empty, filters, filtered = false }: ListProps<Row>) {
  const query = of as UseInfiniteQueryResult<Row[]>;
  const [search, setSearch] = useState('');
  const wanted = useDeferredValue(search.trim().toLowerCase());
  const more = query.hasNextPage ? { load: () => void query.fetchNextPage(), loading: query.isFetchingNextPage } : undefined;
  const total = query.data?.length ?? 0;
  const field = (
    <TextInput
      size="xs"
      w={240}
      aria-label={`search in ${label}`}
      placeholder="Search"
      leftSection={<IconSearch size={14} aria-hidden />}
      value={search}
      onChange={(event) => {
        setSearch(event.currentTarget.value);
      }}
    />
  );
  const tools =
    total > FEW || filters !== undefined ? (
      <>
        {total > FEW && field}
        {filters}
      </>
    ) : undefined;
  return (
    <Panel flush aside={tools}>
      <Outcome of={query}>
        {(rows) => {
          if (rows.length === 0) return filtered ? <Empty title="Nothing matches the filter" /> : empty;
          const matching = wanted === '' ? rows : rows.filter((row) => text(row).toLowerCase().includes(wanted));
          if (matching.length === 0) return <Empty title={`Nothing matches “${search.trim()}”`} />;
          return <Table label={label} columns={columns} rows={matching} id={id} target={target} more={more} />;
        }}
      </Outcome>
    </Panel>
  );
}

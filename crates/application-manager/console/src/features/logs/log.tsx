import { keepPreviousData, useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useDebouncedValue } from '@mantine/hooks';
import { useState } from 'react';
import { useTopics } from '@/live/context';
import { Outcome } from '@/ui/outcome';
import { join, type Line } from './lines';
import { LogView } from './log-view';

/** A part of a log, as the API answers it: oldest line first. */
export interface LogPart {
  items: Line[];
  next?: string | null;
}

interface LogProps {
  topic: `logs:${string}` | `build:${string}`;
  read: (query: { q?: string; before?: string; limit: number }) => Promise<LogPart>;
  file: string;
  hint: string;
}

const LINES = 500;
const TYPING_MS = 350;

interface Arrived {
  container: string;
  lines: Omit<Line, 'container'>[];
}

/** A log that goes on: what is kept, and what is printed from now on. The platform searches everything that it keeps. */
export function Log({ topic, read, file, hint }: LogProps) {
  const client = useQueryClient();
  const [search, setSearch] = useState('');
  const [query] = useDebouncedValue(search.trim(), TYPING_MS);
  const key = ['logs', topic, query];
  const kept = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam }) => read({ q: query === '' ? undefined : query, before: pageParam, limit: LINES }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (part) => part.next ?? undefined,
    placeholderData: keepPreviousData,
    staleTime: Infinity,
    gcTime: 0,
  });
  const [live, setLive] = useState<Line[]>([]);
  useTopics(
    [topic],
    (_, data) => {
      const { container, lines } = data as Arrived;
      setLive((known) => join(known, lines.map((line) => ({ ...line, container }))));
    },
    () => void client.invalidateQueries({ queryKey: ['logs', topic] }),
  );
  const older = kept.hasNextPage ? { load: () => void kept.fetchNextPage(), loading: kept.isFetchingNextPage } : undefined;
  return (
    <Outcome of={kept} lines={8}>
      {({ pages }) => {
        const read = [...pages].reverse().flatMap((part) => part.items);
        return <LogView lines={join(read, live, Infinity)} file={file} older={older} hint={hint} onSearch={setSearch} />;
      }}
    </Outcome>
  );
}

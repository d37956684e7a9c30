import { infiniteQueryOptions } from '@tanstack/react-query';

/** A part of a list, as the API answers it. */
export interface Part<T> {
  items: T[];
  next?: string | null;
}

/** Entries that are asked for at once. */
export const PART = 200;

/** Reads a list part by part. */
export function listOptions<T>(key: readonly unknown[], read: (after: string | undefined) => Promise<Part<T>>) {
  return infiniteQueryOptions({
    queryKey: key,
    queryFn: ({ pageParam }) => read(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
    select: (data) => data.pages.flatMap((part) => part.items),
  });
}

/** Reads a whole list, for choices: at most this many parts. */
const MOST_PARTS = 25;

export async function readAll<T>(read: (after: string | undefined) => Promise<Part<T>>): Promise<T[]> {
  const all: T[] = [];
  let after: string | undefined;
  for (let part = 0; part < MOST_PARTS; part += 1) {
    const { items, next } = await read(after);
    all.push(...items);
    if (!next) break;
    after = next;
  }
  return all;
}

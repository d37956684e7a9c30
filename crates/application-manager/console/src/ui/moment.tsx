import { Tooltip } from '@mantine/core';
import { useNow } from './clock';
import { distance, duration, moment } from './format';

/** A moment that has passed, as its distance from now; the full time on hover. Clocks differ: it never lies ahead. */
export function Ago({ at }: { at: string }) {
  const now = Math.max(useNow(), Date.parse(at));
  return (
    <Tooltip label={moment(at)}>
      <time dateTime={at} className="figures nowrap">
        {distance(Date.parse(at), now)}
      </time>
    </Tooltip>
  );
}

/** How long something has been so. */
export function Lasting({ since, until }: { since: string; until?: string | null }) {
  const now = useNow();
  const end = until === undefined || until === null ? now : Date.parse(until);
  return <span className="figures nowrap">{duration(end - Date.parse(since))}</span>;
}

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useDebouncedValue } from '@mantine/hooks';
import { api, ask } from '@/api/client';
import type { When } from '@/api/types';
import { shortMoment } from '@/ui/format';
import { ProblemNote } from '@/ui/problem';
import classes from './preview.module.css';

const TYPING_MS = 250;

/** When something would run, in words, with the next five runs. */
export function usePreview(when: When | undefined) {
  const [asked] = useDebouncedValue(when, TYPING_MS);
  return useQuery({
    queryKey: ['preview', asked],
    queryFn: () => ask(api.POST('/api/v1/schedules/preview', { body: { when: asked ?? { kind: 'now' } } })),
    enabled: asked !== undefined,
    placeholderData: keepPreviousData,
    retry: false,
    staleTime: 30_000,
  });
}

export function Preview({ when }: { when: When | undefined }) {
  const preview = usePreview(when);
  if (when === undefined) return <p className={classes.words}>Something is missing above.</p>;
  if (preview.error) return <ProblemNote error={preview.error} />;
  if (!preview.data) return null;
  const zone = when.kind === 'cron' ? when.zone : undefined;
  return (
    <div className={classes.preview} role="status">
      <p className={classes.words}>It runs {preview.data.words}.</p>
      {when.kind === 'cron' && (
        <ol className={classes.next} aria-label="next runs">
          {preview.data.next.map((at) => (
            <li key={at}>{shortMoment(at, zone)}</li>
          ))}
        </ol>
      )}
    </div>
  );
}

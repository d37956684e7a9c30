import { Button, Skeleton } from '@mantine/core';
import { IconPlugConnectedX, type Icon } from '@tabler/icons-react';
import { useState, type ReactNode } from 'react';
import { problemOf } from '@/api/problem';
import { Panel } from './panel';
import classes from './outcome.module.css';

/** While something is being read. */
export function Loading({ lines = 4 }: { lines?: number }) {
  return (
    <div className={classes.loading} role="status" aria-label="loading">
      {Array.from({ length: lines }, (_, line) => (
        <Skeleton key={line} height={14} width={`${String(92 - ((line * 17) % 40))}%`} radius="sm" />
      ))}
    </div>
  );
}

interface EmptyProps {
  /** Without one it is a remark inside a page, not the page's subject. */
  icon?: Icon;
  title: string;
  /** What this is for and how the first one comes to be. */
  children?: ReactNode;
  action?: ReactNode;
}

/** Where there is nothing yet. */
export function Empty({ icon: Shown, title, children, action }: EmptyProps) {
  return (
    <div className={classes.empty} data-remark={Shown === undefined}>
      {Shown && (
        <span className={classes.mark}>
          <Shown size={24} stroke={1.6} aria-hidden />
        </span>
      )}
      <p className={classes.title}>{title}</p>
      {children !== undefined && <div className={classes.text}>{children}</div>}
      {action !== undefined && <div className={classes.action}>{action}</div>}
    </div>
  );
}

/** When something could not be read. */
export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = problemOf(error);
  return (
    <div className={classes.empty} role="alert">
      <span className={classes.mark} data-bad>
        <IconPlugConnectedX size={24} stroke={1.6} aria-hidden />
      </span>
      <p className={classes.title}>{problem.status === 404 ? 'This does not exist' : 'This could not be read'}</p>
      <div className={classes.text}>{problem.detail}</div>
      {retry !== undefined && problem.status !== 404 && (
        <div className={classes.action}>
          <Button variant="default" onClick={retry}>
            Try again
          </Button>
        </div>
      )}
    </div>
  );
}

/** What a query has so far. */
export interface Query<T> {
  data: T | undefined;
  error: unknown;
  failureCount: number;
  failureReason: unknown;
  refetch: () => unknown;
}

/** One failure may be a blip. */
const BLIPS = 1;

/** Returns why a query has no data, steadily: while it is tried again, the reason stays in sight. */
export function useFailure({ error, failureCount, failureReason }: Query<unknown>): unknown {
  const current = error ?? (failureCount > BLIPS ? failureReason : undefined);
  const [last, setLast] = useState<unknown>(current);
  if (current !== undefined && current !== last) setLast(current);
  return current ?? last;
}

interface OutcomeProps<T> {
  of: Query<T>;
  lines?: number;
  /** Where it is no part of a panel: the data brings its own, and until then there is one here. */
  framed?: boolean;
  children: (data: T) => ReactNode;
}

/** Shows what a query has: loading, error, or the data. */
export function Outcome<T>({ of, lines, framed = false, children }: OutcomeProps<T>) {
  const failure = useFailure(of);
  if (of.data !== undefined) return children(of.data);
  const meanwhile = failure === undefined ? <Loading lines={lines} /> : <Failed error={failure} retry={() => void of.refetch()} />;
  return framed ? <Panel flush>{meanwhile}</Panel> : meanwhile;
}

import type { ReactNode } from 'react';
import { problemOf } from '@/api/problem';
import { Failed, Loading, useFailure, type Query } from './outcome';
import { Page } from './page';
import { Panel } from './panel';

/** A page about one thing, which first is to be read. */
export function PageOf<T>({ of, children }: { of: Query<T>; children: (data: T) => ReactNode }) {
  const error = useFailure(of);
  if (of.data !== undefined) return children(of.data);
  const failed = error !== undefined;
  const title = !failed ? 'Loading…' : problemOf(error).status === 404 ? 'Not found' : 'Not readable';
  return (
    <Page title={title}>
      <Panel>{failed ? <Failed error={error} retry={() => void of.refetch()} /> : <Loading lines={6} />}</Panel>
    </Page>
  );
}

import { IconBell } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { Empty, Outcome } from '@/ui/outcome';
import { Page } from '@/ui/page';
import { Panel } from '@/ui/panel';
import { notificationListOptions } from './data';
import { NotificationList } from './feed';
import { useSeen } from './unseen';

export function NotificationsPage() {
  const list = useInfiniteQuery(notificationListOptions);
  const [seen, setSeen] = useSeen();
  // What was new when the page was opened stays marked while it is open.
  const [before] = useState(seen);
  const newest = list.data?.[0]?.at;
  useEffect(() => {
    if (newest !== undefined) setSeen((known) => Math.max(known, Date.parse(newest)));
  }, [newest, setSeen]);
  const more = list.hasNextPage ? { load: () => void list.fetchNextPage(), loading: list.isFetchingNextPage } : undefined;
  return (
    <Page title="Notifications" lead="What your applications tell you. Mail and webhook are set under your account.">
      <Panel flush>
        <Outcome of={list}>
          {(rows) =>
            rows.length === 0 ? (
              <Empty icon={IconBell} title="No notifications yet">
                An application tells you when something needs you, such as a room that gets too warm. It appears here at once.
              </Empty>
            ) : (
              <NotificationList notifications={rows} more={more} seen={before} />
            )
          }
        </Outcome>
      </Panel>
    </Page>
  );
}

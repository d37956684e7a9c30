import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { api, ask } from '@/api/client';
import { listOptions } from '@/api/lists';
import { CommandTable } from '@/features/devices/commands';
import { NotificationList } from '@/features/notifications/feed';
import { useTopics } from '@/live/context';
import { Empty, Outcome } from '@/ui/outcome';

const PART = 50;

export function InstanceNotifications({ id }: { id: string }) {
  const notifications = useInfiniteQuery(
    listOptions(['notifications', 'instance', id], (after) => ask(api.GET('/api/v1/instances/{id}/notifications', { params: { path: { id }, query: { after, limit: PART } } }))),
  );
  const more = notifications.hasNextPage ? { load: () => void notifications.fetchNextPage(), loading: notifications.isFetchingNextPage } : undefined;
  return (
    <Outcome of={notifications}>
      {(rows) => (rows.length === 0 ? <Empty title="It has told nothing yet">What the application tells its user appears here and under Notifications.</Empty> : <NotificationList notifications={rows} more={more} />)}
    </Outcome>
  );
}

export function InstanceCommands({ id }: { id: string }) {
  const client = useQueryClient();
  const key = ['commands', 'instance', id];
  const renew = () => void client.invalidateQueries({ queryKey: key });
  useTopics([`commands:${id}`], renew, renew);
  const commands = useInfiniteQuery(listOptions(key, (after) => ask(api.GET('/api/v1/instances/{id}/commands', { params: { path: { id }, query: { after, limit: PART } } }))));
  const more = commands.hasNextPage ? { load: () => void commands.fetchNextPage(), loading: commands.isFetchingNextPage } : undefined;
  return (
    <Outcome of={commands}>
      {(rows) => (rows.length === 0 ? <Empty title="It has commanded nothing yet">What the application has devices do appears here, with their answers.</Empty> : <CommandTable commands={rows} withDevice more={more} />)}
    </Outcome>
  );
}

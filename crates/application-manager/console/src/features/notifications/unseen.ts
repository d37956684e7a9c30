import { useLocalStorage } from '@mantine/hooks';
import { notifications as toasts } from '@mantine/notifications';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useRef } from 'react';
import type { Notification } from '@/api/types';
import { useTopics } from '@/live/context';
import { notificationListOptions, SEVERITIES } from './data';

const COLOURS = { ok: 'green', busy: 'blue', warn: 'yellow', bad: 'red', idle: 'gray' } as const;

/** A notification is told aloud only while it is news. */
const NEWS_MS = 30_000;

/** When someone last looked at the notifications, in this browser. */
export function useSeen() {
  return useLocalStorage<number>({ key: 'notifications-seen', defaultValue: 0, getInitialValueInEffect: false });
}

/** Returns how many notifications came since someone last looked, and tells new ones as they come. */
export function useUnseen(): number {
  const [seen] = useSeen();
  const list = useInfiniteQuery(notificationListOptions);
  const told = useRef(new Set<string>());
  useTopics(['notifications'], (_, data) => {
    const notification = data as Notification;
    if (told.current.has(notification.id) || Date.now() - Date.parse(notification.at) > NEWS_MS) return;
    told.current.add(notification.id);
    if (document.visibilityState !== 'visible') return;
    toasts.show({ title: notification.title, message: notification.text, color: COLOURS[SEVERITIES[notification.severity].mood] });
  });
  return (list.data ?? []).filter(({ at }) => Date.parse(at) > seen).length;
}

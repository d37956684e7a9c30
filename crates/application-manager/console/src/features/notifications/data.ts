import { api, ask } from '@/api/client';
import { listOptions } from '@/api/lists';
import type { Notification } from '@/api/types';
import type { Mood } from '@/ui/state';

const PART = 100;

export const notificationListOptions = listOptions(['notifications', 'own'], (after) => ask(api.GET('/api/v1/notifications', { params: { query: { after, limit: PART } } })));

/** How much a notification matters, in words. */
export const SEVERITIES: Record<Notification['severity'], { mood: Mood; word: string }> = {
  info: { mood: 'idle', word: 'Info' },
  warning: { mood: 'warn', word: 'Warning' },
  critical: { mood: 'bad', word: 'Critical' },
};

const CHANNELS = { console: 'console', mail: 'mail', webhook: 'webhook' } as const;

/** Says where a notification went besides the console; undefined when nowhere. */
export function deliveries(notification: Notification): string | undefined {
  const words = notification.deliveries
    .filter(({ channel }) => channel !== 'console')
    .map((delivery) => {
      const channel = CHANNELS[delivery.channel];
      if (delivery.state === 'delivered') return `${channel}: delivered`;
      if (delivery.state === 'failed') return `${channel}: failed, ${delivery.why}`;
      return `${channel}: on its way`;
    });
  return words.length === 0 ? undefined : words.join(' · ');
}

import { Button } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { Notification } from '@/api/types';
import { Ago } from '@/ui/moment';
import { State } from '@/ui/state';
import { deliveries, SEVERITIES } from './data';
import classes from './feed.module.css';

interface NotificationListProps {
  notifications: Notification[];
  more?: { load: () => void; loading: boolean } | undefined;
  /** Newer ones than this are marked. */
  seen?: number;
}

/** Notifications, newest first. */
export function NotificationList({ notifications, more, seen }: NotificationListProps) {
  return (
    <>
      <ul className={classes.list}>
        {notifications.map((notification) => {
          const { mood, word } = SEVERITIES[notification.severity];
          const went = deliveries(notification);
          return (
            <li key={notification.id} className={classes.entry} data-new={seen !== undefined && Date.parse(notification.at) > seen}>
              <div className={classes.head}>
                <State mood={mood}>{word}</State>
                <strong>{notification.title}</strong>
                <span className={classes.when}>
                  <Ago at={notification.at} />
                </span>
              </div>
              {notification.text !== '' && <p className={classes.text}>{notification.text}</p>}
              <p className="soft small" style={{ margin: 0 }}>
                {notification.application} ·{' '}
                {notification.instance ? (
                  <Link to="/instances/$id" params={{ id: notification.instance.id }} className={classes.link}>
                    {notification.instance.name}
                  </Link>
                ) : (
                  <Link to="/health" className={classes.link}>
                    Health
                  </Link>
                )}
                {went !== undefined && ` · ${went}`}
              </p>
            </li>
          );
        })}
      </ul>
      {more && (
        <div className={classes.more}>
          <Button variant="subtle" onClick={more.load} loading={more.loading}>
            Show more
          </Button>
        </div>
      )}
    </>
  );
}

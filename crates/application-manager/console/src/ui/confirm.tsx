import { Text } from '@mantine/core';
import { modals } from '@mantine/modals';
import { notifications } from '@mantine/notifications';
import { problemOf } from '@/api/problem';

/** Tells that a change was not carried out. */
export function tellProblem(error: unknown): void {
  const problem = problemOf(error);
  notifications.show({ color: 'red', title: 'That did not work', message: problem.detail, autoClose: 10_000 });
}

/** Tells that something was done. */
export function tellDone(message: string): void {
  notifications.show({ color: 'petrol', message });
}

interface Question {
  title: string;
  text: string;
  /** The deed, as on the button. */
  deed: string;
  act: () => Promise<unknown>;
  done?: string;
}

/** Asks before something that can not be taken back. */
export function confirm({ title, text, deed, act, done }: Question): void {
  modals.openConfirmModal({
    title,
    children: <Text size="sm">{text}</Text>,
    labels: { confirm: deed, cancel: 'Cancel' },
    confirmProps: { color: 'red.8' },
    onConfirm: () => {
      act().then(() => {
        if (done !== undefined) tellDone(done);
      }, tellProblem);
    },
  });
}

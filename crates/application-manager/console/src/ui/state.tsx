import {
  IconAlertTriangle,
  IconCircleCheck,
  IconCircleDashed,
  IconCircleX,
  IconLoader2,
  type Icon,
} from '@tabler/icons-react';
import classes from './state.module.css';

/** How something is doing, for the eye. Words always stand beside the colour. */
export type Mood = 'ok' | 'busy' | 'warn' | 'bad' | 'idle';

const ICONS: Record<Mood, Icon> = {
  ok: IconCircleCheck,
  busy: IconLoader2,
  warn: IconAlertTriangle,
  bad: IconCircleX,
  idle: IconCircleDashed,
};

interface StateProps {
  mood: Mood;
  children: string;
}

/** A state as icon and word. */
export function State({ mood, children }: StateProps) {
  const Shown = ICONS[mood];
  return (
    <span className={classes.state} data-mood={mood}>
      <Shown size={14} stroke={2.2} aria-hidden />
      {children}
    </span>
  );
}

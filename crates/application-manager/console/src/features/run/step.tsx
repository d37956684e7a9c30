import { Button, UnstyledButton } from '@mantine/core';
import { IconCheck } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import classes from './step.module.css';

interface StepProps {
  number: number;
  title: string;
  /** What was chosen, once the step is done. */
  summary: ReactNode;
  state: 'ahead' | 'open' | 'done';
  open: () => void;
  /** Goes on; undefined while something is missing. */
  next?: (() => void) | undefined;
  nextLabel?: string;
  children: ReactNode;
}

/** One step of the way. What was chosen stays in sight, and can be chosen anew. */
export function Step({ number, title, summary, state, open, next, nextLabel = 'Go on', children }: StepProps) {
  return (
    <section className={classes.step} data-state={state} aria-label={title}>
      <div className={classes.head}>
        <span className={classes.number} aria-hidden>
          {state === 'done' ? <IconCheck size={16} stroke={2.4} /> : number}
        </span>
        <div className={classes.words}>
          <h2 className={classes.title}>{title}</h2>
          {state === 'done' && <div className={classes.summary}>{summary}</div>}
        </div>
        {state === 'done' && (
          <UnstyledButton className={classes.change} onClick={open} aria-label={`change: ${title}`}>
            Change
          </UnstyledButton>
        )}
      </div>
      {state === 'open' && (
        <div className={classes.body}>
          {children}
          {nextLabel !== '' && (
            <Button mt="lg" onClick={next} disabled={next === undefined}>
              {nextLabel}
            </Button>
          )}
        </div>
      )}
    </section>
  );
}

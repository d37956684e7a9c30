import type { ReactNode } from 'react';
import { Mark } from '@/app/mark';
import classes from './frame.module.css';

/** The page around signing in. */
export function Frame({ title, lead, children }: { title: string; lead: string; children: ReactNode }) {
  return (
    <main className={classes.frame}>
      <div className={classes.card}>
        <Mark size={40} />
        <h1 className={classes.title}>{title}</h1>
        <p className={classes.lead}>{lead}</p>
        {children}
      </div>
    </main>
  );
}

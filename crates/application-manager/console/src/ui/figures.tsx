import { Link, type LinkProps } from '@tanstack/react-router';
import type { Mood } from './state';
import classes from './figures.module.css';

export interface Figure {
  label: string;
  value: string;
  mood: Mood;
  /** Under the value. */
  note?: string | undefined;
  to?: LinkProps['to'];
}

/** A few numbers that say how things are. */
export function Figures({ figures }: { figures: Figure[] }) {
  return (
    <ul className={classes.figures}>
      {figures.map((figure) => (
        <li key={figure.label} className={classes.figure} data-mood={figure.mood}>
          <span className={classes.label}>
            {figure.to === undefined ? (
              figure.label
            ) : (
              <Link to={figure.to} className={classes.link}>
                {figure.label}
              </Link>
            )}
          </span>
          <span className={classes.value}>{figure.value}</span>
          {figure.note !== undefined && <span className={classes.note}>{figure.note}</span>}
        </li>
      ))}
    </ul>
  );
}

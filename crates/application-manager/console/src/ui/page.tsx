import { IconChevronLeft } from '@tabler/icons-react';
import { Link, type LinkProps } from '@tanstack/react-router';
import { useEffect, type ReactNode } from 'react';
import classes from './page.module.css';

interface PageProps {
  title: string;
  /** Under the title. */
  lead?: ReactNode;
  /** Where this page hangs in the tree. */
  up?: { to: LinkProps['to']; params?: Record<string, string>; label: string };
  /** Beside the title. */
  badge?: ReactNode;
  actions?: ReactNode;
  /** For pages that are read, not scanned. */
  narrow?: boolean;
  children: ReactNode;
}

/** The frame of every page. */
export function Page({ title, lead, up, badge, actions, narrow = false, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · IoT platform`;
  }, [title]);
  return (
    <div className={narrow ? classes.narrow : classes.page}>
      <header className={classes.head}>
        <div className={classes.words}>
          {up !== undefined && (
            <Link to={up.to} params={up.params as never} className={classes.up}>
              <IconChevronLeft size={14} aria-hidden />
              {up.label}
            </Link>
          )}
          <div className={classes.line}>
            <h1>{title}</h1>
            {badge}
          </div>
          {lead !== undefined && <p className={classes.lead}>{lead}</p>}
        </div>
        {actions !== undefined && <div className={classes.actions}>{actions}</div>}
      </header>
      <div className={classes.parts}>{children}</div>
    </div>
  );
}

/** Parts side by side where there is room. */
export function Columns({ children, wide = false }: { children: ReactNode; wide?: boolean }) {
  return <div className={wide ? classes.wideFirst : classes.columns}>{children}</div>;
}

import { Button } from '@mantine/core';
import { useNavigate, type LinkProps } from '@tanstack/react-router';
import type { MouseEvent, ReactNode } from 'react';
import classes from './table.module.css';

export interface Column<Row> {
  title: string;
  cell: (row: Row) => ReactNode;
  /** For figures. */
  end?: boolean;
  /** Left out on phones. */
  wideOnly?: boolean;
  /** As narrow as its content. */
  tight?: boolean;
}

export interface Target {
  to: LinkProps['to'];
  params?: Record<string, string>;
}

interface TableProps<Row> {
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  id: (row: Row) => string;
  /** Where a click on a row leads; the first cell has the same as a link for the keyboard. */
  target?: (row: Row) => Target | undefined;
  more?: { load: () => void; loading: boolean } | undefined;
}

/** A list with columns; on phones each row is a card. */
export function Table<Row>({ label, columns, rows, id, target, more }: TableProps<Row>) {
  const navigate = useNavigate();
  const follow = (row: Row) => (event: MouseEvent) => {
    const inner = (event.target as Element).closest('a, button, input, label');
    const goal = target?.(row);
    if (goal && !inner && getSelection()?.toString() === '') void navigate({ to: goal.to, params: goal.params as never });
  };
  return (
    <>
      <table className={classes.table} aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.title} scope="col" data-end={column.end} data-wide={column.wideOnly} data-tight={column.tight}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            // The link in the first cell serves the keyboard; the row's click is a convenience for the mouse.
            <tr key={id(row)} onClick={target && follow(row)} data-link={target?.(row) !== undefined}>
              {columns.map((column) => (
                <td key={column.title} data-label={column.title} data-end={column.end} data-wide={column.wideOnly} data-tight={column.tight}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
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

import { Tree, useTree, type TreeNodeData } from '@mantine/core';
import { IconChevronRight, IconMapPin } from '@tabler/icons-react';
import { useMemo, type KeyboardEvent, type ReactNode } from 'react';
import type { Location } from '@/api/types';
import { above, tree as branchesOf, type Branch } from './data';
import classes from './tree.module.css';

interface LocationTreeProps {
  label: string;
  locations: Location[];
  chosen: string | undefined;
  choose: (location: Location) => void;
  /** Beside the name. */
  note?: (location: Location) => ReactNode;
}

function nodes(branches: Branch[]): TreeNodeData[] {
  return branches.map(({ location, children }) => ({
    value: location.id,
    label: location.name,
    children: children.length > 0 ? nodes(children) : undefined,
  }));
}

/** Trees up to this size are open from the start. */
const SMALL = 40;

/** The tree of places; arrow keys move, space or enter chooses. */
export function LocationTree({ label, locations, chosen, choose, note }: LocationTreeProps) {
  const branches = useMemo(() => branchesOf(locations), [locations]);
  const data = useMemo(() => nodes(branches), [branches]);
  const byId = useMemo(() => new Map(locations.map((location) => [location.id, location])), [locations]);
  const open = locations.length <= SMALL ? locations.map(({ id }) => id) : [...branches.map(({ location }) => location.id), ...above(locations, chosen ?? '').map(({ id }) => id)];
  const tree = useTree({
    initialExpandedState: Object.fromEntries(open.map((id) => [id, true])),
    initialSelectedState: chosen === undefined ? [] : [chosen],
  });
  const take = (id: string | undefined) => {
    const location = id === undefined ? undefined : byId.get(id);
    if (!location) return;
    tree.setSelectedState([location.id]);
    choose(location);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    take((event.target as HTMLElement).dataset['value']);
  };
  return (
    <Tree
      data={data}
      tree={tree}
      aria-label={label}
      levelOffset={22}
      expandOnClick={false}
      expandOnSpace={false}
      onKeyDown={onKeyDown}
      renderNode={({ node, expanded, hasChildren, elementProps }) => {
        const location = byId.get(node.value);
        if (!location) return null;
        return (
          // Keys are handled by the tree around.
          // eslint-disable-next-line jsx-a11y/no-static-element-interactions, jsx-a11y/click-events-have-key-events
          <div
            {...elementProps}
            className={`${elementProps.className} ${classes.row}`}
            data-chosen={node.value === chosen}
            onClick={() => {
              take(node.value);
            }}
          >
            {hasChildren ? (
              // eslint-disable-next-line jsx-a11y/no-static-element-interactions, jsx-a11y/click-events-have-key-events
              <span
                className={classes.toggle}
                data-open={expanded}
                onClick={(event) => {
                  event.stopPropagation();
                  tree.toggleExpanded(node.value);
                }}
              >
                <IconChevronRight size={16} aria-hidden />
              </span>
            ) : (
              <span className={classes.leaf}>
                <IconMapPin size={14} aria-hidden />
              </span>
            )}
            <span className={classes.name}>{location.name}</span>
            <span className={classes.kind}>{location.kind}</span>
            {note !== undefined && <span className={classes.note}>{note(location)}</span>}
          </div>
        );
      }}
    />
  );
}

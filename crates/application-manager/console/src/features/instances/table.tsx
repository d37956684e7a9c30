import { Link } from '@tanstack/react-router';
import type { Instance } from '@/api/types';
import { Ago, Lasting } from '@/ui/moment';
import { State } from '@/ui/state';
import { Table, type Column } from '@/ui/table';
import { INSTANCE_STATES, isOver, reason } from './data';

export function InstanceState({ instance }: { instance: Instance }) {
  const { mood, word } = INSTANCE_STATES[instance.state];
  return <State mood={mood}>{word}</State>;
}

export const INSTANCE_COLUMNS: Record<'name' | 'state' | 'application' | 'location' | 'owner' | 'due' | 'ran', Column<Instance>> = {
  name: {
    title: 'Instance',
    cell: (instance) => (
      <Link to="/instances/$id" params={{ id: instance.id }}>
        {instance.name}
      </Link>
    ),
  },
  state: {
    title: 'State',
    cell: (instance) => (
      <div>
        <InstanceState instance={instance} />
        {!isOver(instance) && reason(instance) !== undefined && <div className="soft small">{reason(instance)}</div>}
      </div>
    ),
  },
  application: { title: 'Application', cell: (instance) => `${instance.application.title} ${instance.application.version}` },
  location: { title: 'Location', cell: (instance) => instance.location.path },
  owner: { title: 'For', cell: (instance) => instance.owner.title, wideOnly: true },
  due: { title: 'Due', cell: (instance) => <Ago at={instance.due} />, end: true },
  ran: { title: 'Ran', cell: (instance) => (instance.started ? <Lasting since={instance.started} until={instance.ended} /> : <span className="soft">not yet</span>), end: true },
};

interface InstanceTableProps {
  rows: Instance[];
  more?: { load: () => void; loading: boolean } | undefined;
  without?: 'application' | 'location';
}

/** Instances, newest first. */
export function InstanceTable({ rows, more, without }: InstanceTableProps) {
  const columns = Object.entries(INSTANCE_COLUMNS)
    .filter(([name]) => name !== without && name !== 'owner')
    .map(([, column]) => column);
  return <Table label="instances" rows={rows} id={(instance) => instance.id} columns={columns} target={(instance) => ({ to: '/instances/$id', params: { id: instance.id } })} more={more} />;
}

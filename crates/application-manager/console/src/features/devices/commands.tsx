import { Link } from '@tanstack/react-router';
import type { Command } from '@/api/types';
import { Ago } from '@/ui/moment';
import { State } from '@/ui/state';
import { Table, type Column } from '@/ui/table';
import { COMMAND_STATES, withWords } from './data';

interface CommandTableProps {
  commands: Command[];
  /** Whether each row names its device. */
  withDevice?: boolean;
  more?: { load: () => void; loading: boolean } | undefined;
}

function Became({ command }: { command: Command }) {
  const { mood, word } = COMMAND_STATES[command.state];
  return (
    <>
      <State mood={mood}>{word}</State>
      {command.state === 'failed' && <div className="soft small">{command.why}</div>}
    </>
  );
}

/** Commands and what became of them. */
export function CommandTable({ commands, withDevice = false, more }: CommandTableProps) {
  const columns: Column<Command>[] = [
    { title: 'Command', cell: (command) => <span><strong>{command.title}</strong> <span className="soft">{withWords(command.arguments)}</span></span> },
    ...(withDevice ? [{ title: 'Device', cell: (command: Command) => <Link to="/devices/$id" params={{ id: command.device.id }}>{command.device.name}</Link> }] : []),
    { title: 'State', cell: (command) => <Became command={command} /> },
    { title: 'Asked by', cell: (command) => (command.instance ? <Link to="/instances/$id" params={{ id: command.instance }}>{command.by}</Link> : command.by) },
    { title: 'When', cell: (command) => <Ago at={command.at} />, end: true },
  ];
  return <Table label="commands" rows={commands} id={(command) => command.id} columns={columns} more={more} />;
}

import { ActionIcon, Button, Checkbox, Select, TextInput, Tooltip } from '@mantine/core';
import { IconArrowBarToDown, IconDownload, IconSearch, IconTerminal2 } from '@tabler/icons-react';
import { useEffect, useMemo, useRef, useState } from 'react';
import { clock, many } from '@/ui/format';
import { Empty } from '@/ui/outcome';
import { asText, filter, type Line, type Shown } from './lines';
import classes from './log-view.module.css';

interface LogViewProps {
  lines: Line[];
  /** Name of the file when it is saved. */
  file: string;
  /** Reads what is older; undefined: there is nothing older. */
  older?: { load: () => void; loading: boolean } | undefined;
  /** Said while there is nothing. */
  hint: string;
  /** Asks the platform for lines that are not in the page. */
  onSearch?: (query: string) => void;
}

const SHOWN: { value: Shown; label: string }[] = [
  { value: 'all', label: 'Everything' },
  { value: 'stdout', label: 'Output' },
  { value: 'stderr', label: 'Errors' },
  { value: 'platform', label: 'Platform' },
];

function save(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}

/** A log: newest line at the end, followed until someone scrolls up. */
export function LogView({ lines, file, older, hint, onSearch }: LogViewProps) {
  const [query, setQuery] = useState('');
  const [shown, setShown] = useState<Shown>('all');
  const [wrap, setWrap] = useState(true);
  const [following, setFollowing] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  const visible = useMemo(() => filter(lines, query, shown), [lines, query, shown]);

  useEffect(() => {
    if (following && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [visible, following]);

  const onScroll = () => {
    const element = box.current;
    if (element) setFollowing(element.scrollHeight - element.scrollTop - element.clientHeight < 24);
  };

  return (
    <div>
      <div className={classes.tools}>
        <TextInput
          className={classes.query}
          size="xs"
          aria-label="search in the log"
          placeholder="Search"
          leftSection={<IconSearch size={14} aria-hidden />}
          value={query}
          onChange={(event) => {
            setQuery(event.currentTarget.value);
            onSearch?.(event.currentTarget.value);
          }}
        />
        <Select size="xs" w={126} aria-label="which lines" data={SHOWN} value={shown} onChange={(value) => { setShown((value ?? 'all') as Shown); }} />
        <Checkbox size="xs" label="Wrap" checked={wrap} onChange={(event) => { setWrap(event.currentTarget.checked); }} />
        <span className={classes.count}>
          {visible.length === lines.length ? many(lines.length, 'line') : `${String(visible.length)} of ${many(lines.length, 'line')}`}
        </span>
        <Tooltip label="save as a file">
          <ActionIcon variant="subtle" aria-label="save as a file" disabled={lines.length === 0} onClick={() => { save(file, asText(lines)); }}>
            <IconDownload size={16} />
          </ActionIcon>
        </Tooltip>
      </div>
      {lines.length === 0 ? (
        <Empty icon={IconTerminal2} title="Nothing was printed yet">
          {hint}
        </Empty>
      ) : (
        <div className={classes.holder}>
          {/* The log is scrolled, also by keyboard. */}
          {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
          <div ref={box} className={classes.box} data-wrap={wrap} onScroll={onScroll} tabIndex={0} role="log" aria-label="log" aria-live="off">
            {older && (
              <Button variant="subtle" size="compact-xs" loading={older.loading} onClick={older.load}>
                Show older lines
              </Button>
            )}
            {visible.map((line) => (
              <div key={`${line.container}/${String(line.number)}`} className={classes.line} data-stream={line.stream}>
                <time dateTime={line.time}>{clock(line.time)}</time>
                <span>{line.text}</span>
              </div>
            ))}
          </div>
          {!following && (
            <Button className={classes.follow} size="compact-sm" leftSection={<IconArrowBarToDown size={14} aria-hidden />} onClick={() => { setFollowing(true); }}>
              Follow
            </Button>
          )}
        </div>
      )}
    </div>
  );
}

import { SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { IconChartLine } from '@tabler/icons-react';
import type { Readings } from '@/api/types';
import { useNow } from '@/ui/clock';
import { Empty, Outcome } from '@/ui/outcome';
import { Panel } from '@/ui/panel';
import { Chart } from './chart';
import { useArrivingReadings } from './live';
import { group } from './tracks';
import classes from './charts.module.css';

const MINUTE = 60_000;
const SPANS = [
  { value: String(10 * MINUTE), label: '10 min' },
  { value: String(60 * MINUTE), label: '1 h' },
  { value: String(24 * 60 * MINUTE), label: '24 h' },
];

interface ChartsProps {
  /** Of what: part of the query's key. */
  of: readonly string[];
  sensors: string[];
  read: (from: string) => Promise<Readings[]>;
  /** Said while nothing was ever measured. */
  hint: string;
}

/** Live charts of sensors, one for each property. */
export function Charts({ of, sensors, read, hint }: ChartsProps) {
  const [span, setSpan] = useState(String(10 * MINUTE));
  const length = Number(span);
  const key = ['readings', ...of, span];
  const readings = useQuery({
    queryKey: key,
    queryFn: () => read(new Date(Date.now() - length).toISOString()),
    staleTime: Infinity,
    gcTime: 0,
  });
  useArrivingReadings(key, sensors, length);
  return (
    <Panel
      title="Readings"
      flush
      aside={<SegmentedControl size="xs" data={SPANS} value={span} onChange={setSpan} aria-label="time shown" />}
    >
      <Outcome of={readings} lines={6}>
        {(data) => <Drawn readings={data} length={length} hint={hint} />}
      </Outcome>
    </Panel>
  );
}

function Drawn({ readings, length, hint }: { readings: Readings[]; length: number; hint: string }) {
  const now = useNow();
  const groups = useMemo(() => group(readings), [readings]);
  if (groups.every(({ tracks }) => tracks.every((track) => track.points.length === 0))) {
    return (
      <Empty icon={IconChartLine} title="No readings in this time">
        {hint}
      </Empty>
    );
  }
  return (
    <div className={classes.charts}>
      {groups.map((shown) => (
        <Chart key={shown.property} title={shown.title} unit={shown.unit} tracks={shown.tracks} from={now - length} to={now} />
      ))}
    </div>
  );
}

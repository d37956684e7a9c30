import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useMemo, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { clock, figure, unit as unitWords } from '@/ui/format';
import { alone, type Track } from './tracks';
import classes from './chart.module.css';

/** Colours of lines, by position; the tokens have a value for each scheme. */
const COLOURS = 6;

interface ChartProps {
  title: string;
  unit?: string | null;
  tracks: Track[];
  /** The time that is shown, in milliseconds. */
  from: number;
  to: number;
  height?: number;
}

function colour(index: number): string {
  return `var(--line-${String((index % COLOURS) + 1)})`;
}

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Puts tracks side by side on one axis of time, in seconds as uPlot wants it. */
function align(tracks: Track[]): uPlot.AlignedData {
  if (tracks.length === 0) return [[]];
  return uPlot.join(
    tracks.map((track) => [track.points.map(([time]) => time / 1000), track.points.map(([, value]) => value)] as uPlot.AlignedData),
  );
}

const HOURS = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const SECONDS = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** Returns a time of the axis: seconds only where they tell something. */
function timeOfDay(seconds: number): string {
  const moment = new Date(seconds * 1000);
  return (seconds % 60 === 0 ? HOURS : SECONDS).format(moment);
}

function options(labels: string[], unit: string | null | undefined, width: number, height: number): uPlot.Options {
  const ink = token('--ink-soft');
  const grid = { stroke: token('--line'), width: 1 };
  const font = '11px system-ui, sans-serif';
  return {
    width,
    height,
    legend: { show: false },
    cursor: { y: false, points: { size: 7 } },
    scales: { x: { time: true, auto: false } },
    axes: [
      { stroke: ink, grid: { show: false }, ticks: { show: false }, font, size: 26, space: 90, values: (_, times) => times.map(timeOfDay) },
      {
        stroke: ink,
        grid,
        ticks: { show: false },
        font,
        size: 58,
        values: (_, values) => values.map((value) => `${figure(value)}${unitWords(unit)}`),
      },
    ],
    series: [
      {},
      ...labels.map((label, index) => ({
        label,
        stroke: token(`--line-${String((index % COLOURS) + 1)}`),
        width: 1.75,
        points: { show: true, size: 5, width: 0, fill: token(`--line-${String((index % COLOURS) + 1)}`), filter: (plot: uPlot, line: number) => alone(Array.from(plot.data[line] ?? [])) },
      })),
    ],
  };
}

/** Lines over time. Beside it stand the newest values as text, for those who do not see lines. */
export function Chart({ title, unit, tracks, from, to, height = 220 }: ChartProps) {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  // Colours are drawn, not styled: another scheme, also the system's, means another drawing.
  const colorScheme = useComputedColorScheme();
  const labels = tracks.map((track) => track.label).join('\n');
  const data = useMemo(() => align(tracks), [tracks]);
  const latest = useRef({ data, from, to });
  useEffect(() => {
    latest.current = { data, from, to };
  });

  useEffect(() => {
    const element = holder.current;
    if (!element) return undefined;
    const made = new uPlot(options(labels === '' ? [] : labels.split('\n'), unit, element.clientWidth, height), latest.current.data, element);
    made.setScale('x', { min: latest.current.from / 1000, max: latest.current.to / 1000 });
    plot.current = made;
    const observer = new ResizeObserver(() => {
      made.setSize({ width: element.clientWidth, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [labels, unit, height, colorScheme]);

  useEffect(() => {
    plot.current?.batch(() => {
      plot.current?.setData(data, false);
      plot.current?.setScale('x', { min: from / 1000, max: to / 1000 });
    });
  }, [data, from, to]);

  return (
    <figure className={classes.chart}>
      <figcaption className={classes.caption}>
        <span className={classes.title}>{title}</span>
        <ul className={classes.legend}>
          {tracks.map((track, index) => {
            const [time, value] = track.points.at(-1) ?? [];
            return (
              <li key={track.key}>
                <span className={classes.swatch} style={{ background: colour(index) }} aria-hidden />
                {track.label}
                {time !== undefined && value !== null && value !== undefined && (
                  <strong title={clock(time)}>
                    {figure(value)}
                    {unitWords(unit)}
                  </strong>
                )}
              </li>
            );
          })}
        </ul>
      </figcaption>
      <div ref={holder} className={classes.plot} style={{ height }} aria-hidden />
    </figure>
  );
}

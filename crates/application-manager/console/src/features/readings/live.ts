import { useQueryClient, type QueryKey } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import type { Point, Readings } from '@/api/types';
import { useTopics } from '@/live/context';
import { merge } from './tracks';

/** Charts are drawn at most this often. */
const DRAW_MS = 400;

/** Adds readings to a query of readings as they arrive. */
export function useArrivingReadings(key: QueryKey, sensors: string[], span: number): void {
  const client = useQueryClient();
  const waiting = useRef(new Map<string, Point[]>());
  const hash = JSON.stringify(key);
  useTopics(
    sensors.map((sensor) => `readings:${sensor}` as const),
    (topic, data) => {
      const sensor = topic.slice('readings:'.length);
      const points = waiting.current.get(sensor) ?? [];
      const { time, values } = data as Point;
      points.push({ time, values });
      waiting.current.set(sensor, points);
    },
    () => void client.invalidateQueries({ queryKey: key }),
  );
  useEffect(() => {
    const timer = setInterval(() => {
      if (waiting.current.size === 0) return;
      const arrived = waiting.current;
      waiting.current = new Map();
      const from = Date.now() - span;
      client.setQueryData<Readings[]>(JSON.parse(hash) as QueryKey, (known) =>
        known?.map((readings) => {
          const more = arrived.get(readings.sensor.id);
          return more ? { ...readings, points: merge(readings.points, more, from) } : readings;
        }),
      );
    }, DRAW_MS);
    return () => {
      clearInterval(timer);
    };
  }, [client, hash, span]);
}

import { Chip, Group, NumberInput, Select, Stack, TextInput } from '@mantine/core';
import { IconBolt, IconCalendarEvent, IconRepeat } from '@tabler/icons-react';
import { useMemo } from 'react';
import { Choices } from '@/ui/choices';
import { MINUTES, RHYTHMS, WEEKDAYS, type Choice, type Rhythm } from './when';

interface WhenFieldsProps {
  choice: Choice;
  set: (choice: Choice) => void;
}

const KINDS = [
  { value: 'now', label: 'Now', text: 'It starts at once.', icon: IconBolt },
  { value: 'once', label: 'Once', text: 'At a moment to come.', icon: IconCalendarEvent },
  { value: 'repeat', label: 'Again and again', text: 'By a rhythm, in the time of a place.', icon: IconRepeat },
] as const;

/** Chooses when something runs. */
export function WhenFields({ choice, set }: WhenFieldsProps) {
  return (
    <Stack>
      <Choices
        label="when it runs"
        options={[...KINDS]}
        value={choice.kind}
        choose={(kind) => {
          set({ ...choice, kind: kind as Choice['kind'] });
        }}
      />
      {choice.kind === 'once' && (
        <TextInput
          type="datetime-local"
          label="Moment"
          description="In the time of this browser"
          maw={280}
          value={choice.at}
          onChange={(event) => {
            set({ ...choice, at: event.currentTarget.value });
          }}
        />
      )}
      {choice.kind === 'repeat' && <RhythmFields choice={choice} set={set} />}
    </Stack>
  );
}

function RhythmFields({ choice, set }: WhenFieldsProps) {
  const zones = useMemo(() => {
    const known = Intl.supportedValuesOf('timeZone');
    return known.includes('UTC') ? known : ['UTC', ...known];
  }, []);
  const timed = choice.rhythm === 'daily' || choice.rhythm === 'weekly' || choice.rhythm === 'monthly';
  return (
    <Stack gap="md">
      <Group align="flex-start">
        <Select
          label="Rhythm"
          w={240}
          data={RHYTHMS}
          value={choice.rhythm}
          onChange={(rhythm) => {
            set({ ...choice, rhythm: (rhythm ?? 'daily') as Rhythm });
          }}
        />
        {choice.rhythm === 'minutes' && (
          <Select
            label="Every"
            w={140}
            data={MINUTES.map((minutes) => ({ value: String(minutes), label: minutes === 1 ? '1 minute' : `${String(minutes)} minutes` }))}
            value={String(choice.minutes)}
            onChange={(minutes) => {
              set({ ...choice, minutes: Number(minutes) });
            }}
          />
        )}
        {choice.rhythm === 'monthly' && (
          <NumberInput
            label="On day"
            w={110}
            min={1}
            max={31}
            allowDecimal={false}
            value={choice.dayOfMonth}
            onChange={(day) => {
              set({ ...choice, dayOfMonth: Number(day) || 1 });
            }}
          />
        )}
        {timed && (
          <TextInput
            type="time"
            label="At"
            w={130}
            value={choice.time}
            onChange={(event) => {
              set({ ...choice, time: event.currentTarget.value });
            }}
          />
        )}
        {choice.rhythm === 'cron' && (
          <TextInput
            label="Cron expression"
            description="minute hour day month weekday"
            w={240}
            value={choice.cron}
            onChange={(event) => {
              set({ ...choice, cron: event.currentTarget.value });
            }}
          />
        )}
        <Select
          label="In the time of"
          w={220}
          searchable
          limit={100}
          data={zones}
          value={choice.zone}
          onChange={(zone) => {
            set({ ...choice, zone: zone ?? 'UTC' });
          }}
        />
      </Group>
      {choice.rhythm === 'weekly' && (
        <Chip.Group
          multiple
          value={choice.days.map(String)}
          onChange={(days) => {
            set({ ...choice, days: days.map(Number) });
          }}
        >
          <Group gap={6} role="group" aria-label="weekdays">
            {WEEKDAYS.map(({ value, label }) => (
              <Chip key={value} value={String(value)} size="sm">
                {label}
              </Chip>
            ))}
          </Group>
        </Chip.Group>
      )}
    </Stack>
  );
}

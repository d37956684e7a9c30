import { Group, NumberInput, Select } from '@mantine/core';
import type { Schedule } from '@/api/types';
import type { Choice } from '@/features/schedules/when';

/** What happens in special cases, as it is being chosen. */
export interface PolicyChoice {
  missed: Schedule['policies']['missed'];
  overlap: Schedule['policies']['overlap'];
  stopAfterMinutes: number | '';
}

export const firstPolicies: PolicyChoice = { missed: 'once', overlap: 'forbid', stopAfterMinutes: '' };

const OVERLAP = [
  { value: 'forbid', label: 'leave the new run out' },
  { value: 'replace', label: 'stop the old run' },
  { value: 'allow', label: 'let both run' },
];

const MISSED = [
  { value: 'once', label: 'run the latest, if at most an hour late' },
  { value: 'skip', label: 'leave them out' },
  { value: 'all', label: 'run each' },
];

/** Returns the policies of a choice. */
export function policiesOf(kind: Choice['kind'], { missed, overlap, stopAfterMinutes }: PolicyChoice): Schedule['policies'] {
  const stop = stopAfterMinutes === '' ? {} : { stop_after_seconds: stopAfterMinutes * 60 };
  return kind === 'repeat' ? { missed, overlap, ...stop } : { missed: 'once', overlap: 'allow', ...stop };
}

interface PolicyFieldsProps {
  kind: Choice['kind'];
  /** Whether it runs until stopped. */
  service: boolean;
  policies: PolicyChoice;
  set: (policies: PolicyChoice) => void;
}

/** Chooses how long it runs, and what happens in special cases. */
export function PolicyFields({ kind, service, policies, set }: PolicyFieldsProps) {
  return (
    <Group align="flex-start">
      <NumberInput
        label="Stop after"
        description={service ? 'Empty: it runs until you stop it' : 'Empty: it takes as long as it takes'}
        suffix=" min"
        min={1}
        allowDecimal={false}
        w={250}
        value={policies.stopAfterMinutes}
        onChange={(value) => {
          set({ ...policies, stopAfterMinutes: value === '' ? '' : Number(value) });
        }}
      />
      {kind === 'repeat' && (
        <>
          <Select
            label="If the last run still goes on"
            description="when the next is due"
            w={250}
            data={OVERLAP}
            value={policies.overlap ?? 'forbid'}
            onChange={(overlap) => {
              set({ ...policies, overlap: overlap as PolicyChoice['overlap'] });
            }}
          />
          <Select
            label="If runs were missed"
            description="because the platform was down"
            w={330}
            data={MISSED}
            value={policies.missed ?? 'once'}
            onChange={(missed) => {
              set({ ...policies, missed: missed as PolicyChoice['missed'] });
            }}
          />
        </>
      )}
    </Group>
  );
}

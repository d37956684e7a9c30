import { Stack } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, change } from '@/api/client';
import type { Location, Manifest, Schedule } from '@/api/types';
import { ParameterFields } from '@/features/parameters/fields';
import { initial, misfits, values, type Entered } from '@/features/parameters/values';
import { Preview } from '@/features/schedules/preview';
import { firstChoice, when, type Choice } from '@/features/schedules/when';
import { WhenFields } from '@/features/schedules/when-fields';
import { tellDone } from '@/ui/confirm';
import { valueWithUnit, words } from '@/ui/format';
import { Finish } from './finish';
import { Place } from './place';
import { firstPolicies, policiesOf, PolicyFields, type PolicyChoice } from './policies';
import { Step } from './step';

interface WayProps {
  name: string;
  version: string;
  manifest: Manifest;
}

/** The first instance appears a moment after the schedule. */
const INSTANCE_TRIES = 12;
const TRY_MS = 500;

async function firstInstance(schedule: string): Promise<string | undefined> {
  for (let turn = 0; turn < INSTANCE_TRIES; turn += 1) {
    const { data } = await api.GET('/api/v1/instances', { params: { query: { schedule, limit: 1 } } });
    const id = data?.items[0]?.id;
    if (id !== undefined) return id;
    await new Promise((wake) => setTimeout(wake, TRY_MS));
  }
  return undefined;
}

/** Place, parameters, time, and then it runs. */
export function Way({ name, version, manifest }: WayProps) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const parameters = manifest.parameters ?? {};
  const hasParameters = Object.keys(parameters).length > 0;
  const [step, setStep] = useState(1);
  const [location, setLocation] = useState<Location>();
  const [entered, setEntered] = useState<Entered>(() => initial(parameters));
  const [choice, setChoice] = useState<Choice>(() => firstChoice(new Date(), Intl.DateTimeFormat().resolvedOptions().timeZone));
  const [policies, setPolicies] = useState<PolicyChoice>(firstPolicies);
  const [title, setTitle] = useState('');
  const wrong = misfits(parameters, entered);
  const chosenWhen = when(choice);
  const state = (number: number) => (step === number ? 'open' : step > number ? 'done' : 'ahead');
  const steps = hasParameters ? { place: 1, parameters: 2, when: 3, finish: 4 } : { place: 1, parameters: 0, when: 2, finish: 3 };

  const run = useMutation({
    mutationFn: async () => {
      if (!location || !chosenWhen) throw new Error('place and time are missing');
      const body = {
        application: name,
        version,
        location: location.id,
        parameters: values(parameters, entered),
        when: chosenWhen,
        policies: policiesOf(choice.kind, policies),
        name: title.trim() === '' ? undefined : title.trim(),
      };
      const schedule = await change(api.POST('/api/v1/schedules', { body }));
      const instance = schedule && choice.kind === 'now' ? await firstInstance(schedule.id) : undefined;
      return { schedule, instance };
    },
    onSuccess: ({ schedule, instance }: { schedule: Schedule | undefined; instance: string | undefined }) => {
      void client.invalidateQueries({ queryKey: ['schedules'] });
      void client.invalidateQueries({ queryKey: ['instances'] });
      tellDone(choice.kind === 'now' ? `${manifest.title} is started` : `${manifest.title} is scheduled`);
      if (instance !== undefined) void navigate({ to: '/instances/$id', params: { id: instance } });
      else if (schedule && choice.kind !== 'now') void navigate({ to: '/schedules/$id', params: { id: schedule.id } });
      else void navigate({ to: '/instances' });
    },
  });

  return (
    <Stack gap="sm">
      <Step
        number={steps.place}
        title="Where"
        state={state(steps.place)}
        summary={location?.path}
        open={() => { setStep(steps.place); }}
        next={location && (() => { setStep(steps.place + 1); })}
      >
        <Place application={name} version={version} chosen={location} choose={setLocation} />
      </Step>
      {hasParameters && (
        <Step
          number={steps.parameters}
          title="How"
          state={state(steps.parameters)}
          summary={Object.entries(parameters)
            .map(([key, parameter]) => `${parameter.title ?? words(key)}: ${valueWithUnit(entered[key] ?? '', parameter.unit)}`)
            .join(' · ')}
          open={() => { setStep(steps.parameters); }}
          next={Object.keys(wrong).length === 0 ? () => { setStep(steps.when); } : undefined}
        >
          <ParameterFields
            parameters={parameters}
            entered={entered}
            errors={wrong}
            set={(key, value) => { setEntered((known) => ({ ...known, [key]: value })); }}
          />
        </Step>
      )}
      <Step
        number={steps.when}
        title="When"
        state={state(steps.when)}
        summary={<Preview when={chosenWhen} />}
        open={() => { setStep(steps.when); }}
        next={chosenWhen && (() => { setStep(steps.finish); })}
      >
        <Stack>
          <WhenFields choice={choice} set={setChoice} />
          {choice.kind !== 'now' && <Preview when={chosenWhen} />}
          <PolicyFields kind={choice.kind} service={manifest.kind !== 'task'} policies={policies} set={setPolicies} />
        </Stack>
      </Step>
      <Step number={steps.finish} title="Run" state={state(steps.finish)} summary={null} open={() => { setStep(steps.finish); }} nextLabel="">
        <Finish
          placeholder={`${manifest.title}, ${location?.name ?? ''}`}
          title={title}
          setTitle={setTitle}
          deed={choice.kind === 'now' ? 'Run now' : 'Schedule it'}
          error={run.error}
          pending={run.isPending}
          go={() => { run.mutate(); }}
        />
      </Step>
    </Stack>
  );
}

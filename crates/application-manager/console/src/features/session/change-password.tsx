import { Button, PasswordInput, Stack } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState, type SyntheticEvent } from 'react';
import { api, ask } from '@/api/client';
import { ProblemNote } from '@/ui/problem';

const SHORTEST = 10;

interface Props {
  /** What the current password is called here. */
  currentLabel: string;
  submitLabel: string;
  done: () => void;
}

/** Changes the own password. */
export function ChangePassword({ currentLabel, submitLabel, done }: Props) {
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const [again, setAgain] = useState('');
  const change = useMutation({
    mutationFn: () => ask(api.POST('/api/v1/session/password', { body: { current, new: next } })),
    onSuccess: () => {
      setCurrent('');
      setNext('');
      setAgain('');
      done();
    },
  });
  const short = next !== '' && next.length < SHORTEST;
  const different = again !== '' && again !== next;
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (!short && again === next) change.mutate();
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="md" maw={420}>
        <PasswordInput
          label={currentLabel}
          autoComplete="current-password"
          required
          withAsterisk={false}
          value={current}
          onChange={(event) => {
            setCurrent(event.currentTarget.value);
          }}
        />
        <PasswordInput
          label="New password"
          description={`At least ${String(SHORTEST)} characters. A few unrelated words are easy to remember and hard to guess.`}
          autoComplete="new-password"
          required
          withAsterisk={false}
          value={next}
          error={short && `${String(SHORTEST - next.length)} more characters`}
          onChange={(event) => {
            setNext(event.currentTarget.value);
          }}
        />
        <PasswordInput
          label="New password again"
          autoComplete="new-password"
          required
          withAsterisk={false}
          value={again}
          error={different && 'not the same yet'}
          onChange={(event) => {
            setAgain(event.currentTarget.value);
          }}
        />
        <ProblemNote error={change.error} />
        <Button type="submit" loading={change.isPending} disabled={short || again !== next || next === ''}>
          {submitLabel}
        </Button>
      </Stack>
    </form>
  );
}

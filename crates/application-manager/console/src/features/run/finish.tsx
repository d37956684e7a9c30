import { Button, Stack, TextInput } from '@mantine/core';
import { IconPlayerPlay } from '@tabler/icons-react';
import { ProblemNote } from '@/ui/problem';

interface FinishProps {
  placeholder: string;
  title: string;
  setTitle: (title: string) => void;
  deed: string;
  error: unknown;
  pending: boolean;
  go: () => void;
}

/** The last step: a name, and go. */
export function Finish({ placeholder, title, setTitle, deed, error, pending, go }: FinishProps) {
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        go();
      }}
    >
      <Stack align="flex-start">
        <TextInput
          label="What you call it"
          description="You find it again by this name"
          placeholder={placeholder}
          w="100%"
          maw={420}
          maxLength={100}
          value={title}
          onChange={(event) => {
            setTitle(event.currentTarget.value);
          }}
        />
        <ProblemNote error={error} />
        <Button type="submit" size="md" loading={pending} leftSection={<IconPlayerPlay size={18} aria-hidden />}>
          {deed}
        </Button>
      </Stack>
    </form>
  );
}

import { Button, SegmentedControl, Stack } from '@mantine/core';
import { IconSend } from '@tabler/icons-react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type SyntheticEvent } from 'react';
import { api, change } from '@/api/client';
import type { CommandSpec, Device } from '@/api/types';
import { ParameterFields } from '@/features/parameters/fields';
import { initial, misfits, values, type Entered, type Parameters } from '@/features/parameters/values';
import { words } from '@/ui/format';
import { Empty } from '@/ui/outcome';
import { Panel } from '@/ui/panel';
import { ProblemNote } from '@/ui/problem';

/** Has a device do something. */
export function GiveCommand({ device }: { device: Device }) {
  const commands = Object.entries(device.commands);
  const [chosen, setChosen] = useState(commands[0]?.[0] ?? '');
  const spec = device.commands[chosen];
  return (
    <Panel title="Have it do something">
      {spec === undefined ? (
        <Empty title="Its type has no commands" />
      ) : (
        <Stack>
          {commands.length > 1 && (
            <SegmentedControl aria-label="command" data={commands.map(([name, { title }]) => ({ value: name, label: title ?? words(name) }))} value={chosen} onChange={setChosen} />
          )}
          <CommandForm key={chosen} device={device.id} name={chosen} spec={spec} />
        </Stack>
      )}
    </Panel>
  );
}

function CommandForm({ device, name, spec }: { device: string; name: string; spec: CommandSpec }) {
  const client = useQueryClient();
  const parameters: Parameters = spec.arguments ?? {};
  const [entered, setEntered] = useState<Entered>(() => initial(parameters));
  const [errors, setErrors] = useState<Record<string, string>>({});
  const send = useMutation({
    mutationFn: () => change(api.POST('/api/v1/devices/{id}/commands', { params: { path: { id: device } }, body: { command: name, arguments: values(parameters, entered) } })),
    onSettled: () => client.invalidateQueries({ queryKey: ['devices'] }),
  });
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    const wrong = misfits(parameters, entered);
    setErrors(wrong);
    if (Object.keys(wrong).length === 0) send.mutate();
  };
  return (
    <form onSubmit={submit} noValidate>
      <Stack align="flex-start">
        <ParameterFields
          parameters={parameters}
          entered={entered}
          errors={errors}
          set={(argument, value) => {
            setEntered((known) => ({ ...known, [argument]: value }));
          }}
        />
        <ProblemNote error={send.error} />
        <Button type="submit" loading={send.isPending} leftSection={<IconSend size={16} aria-hidden />}>
          {spec.title ?? words(name)}
        </Button>
      </Stack>
    </form>
  );
}

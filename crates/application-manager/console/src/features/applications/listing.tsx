import { Button, Group, Modal, Radio, Stack, TagsInput, UnstyledButton } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconPencil } from '@tabler/icons-react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, ask, seen } from '@/api/client';
import type { Application } from '@/api/types';
import { ProblemNote } from '@/ui/problem';
import { listedWords } from './data';

/** Who sees an application; those who may change that can do it here. */
export function Listing({ application }: { application: Application }) {
  const [open, dialog] = useDisclosure(false);
  if (!application.may_change) return listedWords(application);
  return (
    <>
      <UnstyledButton onClick={dialog.open} aria-label={`seen by ${listedWords(application)}, change`} style={{ fontSize: 14, color: 'var(--accent)' }}>
        {listedWords(application)} <IconPencil size={13} aria-hidden />
      </UnstyledButton>
      <Modal opened={open} onClose={dialog.close} title={`Who sees ${application.title}`}>
        <ListingForm application={application} close={dialog.close} />
      </Modal>
    </>
  );
}

function ListingForm({ application, close }: { application: Application; close: () => void }) {
  const client = useQueryClient();
  const { listed } = application;
  const [to, setTo] = useState<string>(listed.to);
  const [users, setUsers] = useState(listed.to === 'named' ? listed.users : []);
  const save = useMutation({
    mutationFn: () =>
      ask(
        api.PATCH('/api/v1/applications/{name}', {
          params: { path: { name: application.name } },
          headers: seen(application),
          body: { listed: to === 'everyone' ? { to: 'everyone' } : { to: 'named', users } },
        }),
      ),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['applications'] });
      close();
    },
  });
  return (
    <Stack>
      <Radio.Group value={to} onChange={setTo} aria-label="who sees it">
        <Stack gap="xs">
          <Radio value="everyone" label="Everyone" />
          <Radio value="named" label="You, admins and the people named here" />
        </Stack>
      </Radio.Group>
      {to === 'named' && <TagsInput label="Sign-in names" placeholder="name, then enter" value={users} onChange={setUsers} />}
      <ProblemNote error={save.error} />
      <Group justify="flex-end">
        <Button variant="default" onClick={close}>
          Cancel
        </Button>
        <Button
          loading={save.isPending}
          onClick={() => {
            save.mutate();
          }}
        >
          Save
        </Button>
      </Group>
    </Stack>
  );
}

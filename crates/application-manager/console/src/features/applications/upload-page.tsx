import { Button, Group, Progress, Radio, Stack, Text } from '@mantine/core';
import { Dropzone } from '@mantine/dropzone';
import { IconFileZip, IconUpload, IconX } from '@tabler/icons-react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import { problemOf } from '@/api/problem';
import { tellDone } from '@/ui/confirm';
import { bytes } from '@/ui/format';
import { Page } from '@/ui/page';
import { Panel } from '@/ui/panel';
import { Snippet } from '@/ui/copy';
import { Report } from './report';
import { upload, type Listing } from './upload';

const EXAMPLE = `{
  "manifest": 1,
  "name": "room-comfort",
  "title": "Room comfort",
  "version": "1.0.0",
  "runtime": { "python": "3" },
  "start": ["python", "main.py"],
  "slots": {
    "temperature": { "sensor": "temperature", "min": 1 },
    "fan": { "device": "fan", "min": 1, "max": 1 }
  },
  "parameters": {
    "target": { "type": "number", "title": "Comfortable temperature", "default": 22, "unit": "Cel" }
  }
}`;

export function UploadPage() {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [listed, setListed] = useState('keep');
  const [share, setShare] = useState(0);
  const abort = useRef<AbortController | undefined>(undefined);
  const choose = useRef<() => void>(null);
  const send = useMutation({
    mutationFn: (file: File) => {
      setShare(0);
      abort.current = new AbortController();
      return upload(file, listed === 'keep' ? undefined : (listed as Listing), setShare, abort.current.signal);
    },
    onSuccess: async ({ application, version }) => {
      await client.invalidateQueries({ queryKey: ['applications'] });
      tellDone(`${application.title} ${version} is accepted; its image is being built`);
      void navigate({ to: '/applications/$name', params: { name: application.name } });
    },
  });
  const file = send.variables;
  return (
    <Page title="Upload an application" narrow up={{ to: '/applications', label: 'Applications' }} lead="A new application, or a new version of one. A version is uploaded once and never changes.">
      <Panel>
        <Stack>
          <Dropzone
            onDrop={([first]) => {
              if (first) send.mutate(first);
            }}
            multiple={false}
            disabled={send.isPending}
            useFsAccessApi={false}
            activateOnKeyboard={false}
            openRef={choose}
            inputProps={{ 'aria-label': 'the zip' }}
          >
            <Stack align="center" gap={6} py="lg">
              <Dropzone.Accept>
                <IconUpload size={36} stroke={1.4} aria-hidden />
              </Dropzone.Accept>
              <Dropzone.Reject>
                <IconX size={36} stroke={1.4} aria-hidden />
              </Dropzone.Reject>
              <Dropzone.Idle>
                <IconFileZip size={36} stroke={1.4} color="var(--accent)" aria-hidden />
              </Dropzone.Idle>
              <Text fw={600}>Drop the zip here</Text>
              <Text size="sm" c="dimmed">
                with <code>app.json</code> at its root
              </Text>
              <Button
                mt={6}
                variant="default"
                style={{ pointerEvents: 'all' }}
                disabled={send.isPending}
                onClick={(event) => {
                  event.stopPropagation();
                  choose.current?.();
                }}
              >
                Choose the zip
              </Button>
            </Stack>
          </Dropzone>
          {send.isPending && file && (
            <div role="status">
              <Group justify="space-between" mb={6}>
                <Text size="sm">
                  {file.name} <span className="soft">{bytes(file.size)}</span>
                </Text>
                <Group gap="sm">
                  <Text size="sm" className="figures">
                    {share < 1 ? `${String(Math.floor(share * 100))} %` : 'checking…'}
                  </Text>
                  <Button size="compact-sm" variant="subtle" onClick={() => abort.current?.abort()}>
                    Call off
                  </Button>
                </Group>
              </Group>
              <Progress value={share * 100} animated={share >= 1} aria-label="upload" />
            </div>
          )}
          {send.error && problemOf(send.error).kind !== 'aborted' && file && <Report file={file.name} error={send.error} />}
          <Radio.Group label="Who sees it" value={listed} onChange={setListed}>
            <Stack gap="xs" mt="xs">
              <Radio value="keep" label="As before; a new application is seen only by you" />
              <Radio value="everyone" label="Everyone" />
              <Radio value="named" label="Only me; I name others later" />
            </Stack>
          </Radio.Group>
        </Stack>
      </Panel>
      <Panel title="What belongs into the zip">
        <Stack gap="sm">
          <Text size="sm">
            The program, a <code>requirements.txt</code> if it needs packages, and the manifest. Slots name <em>types</em> of sensors and
            devices: whoever runs the application chooses the place.
          </Text>
          <Snippet label="app.json" text={EXAMPLE} />
        </Stack>
      </Panel>
    </Page>
  );
}

import { Button } from '@mantine/core';
import { IconTrash } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useParams } from '@tanstack/react-router';
import { api, change } from '@/api/client';
import type { Parameter, Property, TypeFacts } from '@/api/types';
import { has, useMe } from '@/features/session/session';
import { confirm } from '@/ui/confirm';
import { Snippet } from '@/ui/copy';
import { many, unit, words } from '@/ui/format';
import { Page } from '@/ui/page';
import { PageOf } from '@/ui/page-of';
import { Facts, Panel } from '@/ui/panel';
import { Table } from '@/ui/table';
import { range, typeOptions } from './data';

export function TypePage() {
  const { name } = useParams({ strict: false }) as { name: string };
  const type = useQuery(typeOptions(name));
  return <PageOf of={type}>{(data) => <Shown type={data} />}</PageOf>;
}

const ARGUMENT_WORDS: Record<Parameter['type'], string> = {
  boolean: 'yes or no',
  number: 'a number',
  integer: 'a whole number',
  string: 'text',
  choice: 'one of',
};

function argumentWords(argument: Parameter): string {
  if (argument.type === 'choice') return `one of ${(argument.choices ?? []).join(', ')}`;
  const limits = argument.type === 'number' || argument.type === 'integer' ? range(argument) : 'any';
  return limits === 'any' ? `${ARGUMENT_WORDS[argument.type]}${unit(argument.unit)}` : limits;
}

function Shown({ type }: { type: TypeFacts }) {
  const me = useMe();
  const client = useQueryClient();
  const navigate = useNavigate();
  const remove = () => {
    confirm({
      title: `Delete the type ${type.title}?`,
      text: 'Applications that name it find nothing that matches any more.',
      deed: 'Delete',
      act: async () => {
        await change(api.DELETE('/api/v1/types/{name}', { params: { path: { name: type.name } } }));
        await client.invalidateQueries({ queryKey: ['types', 'list'] });
        await navigate({ to: '/types' });
      },
      done: `${type.title} is deleted`,
    });
  };
  const slot = type.kind === 'sensor' ? `"sensor": "${type.name}", "min": 1` : `"device": "${type.name}", "min": 1, "max": 1`;
  return (
    <Page
      title={type.title}
      up={{ to: '/types', label: 'Types' }}
      lead={type.kind === 'sensor' ? 'A type of sensors' : 'A type of devices'}
      actions={
        has(me, 'sensor_owner') && (
          <Button variant="default" leftSection={<IconTrash size={16} aria-hidden />} disabled={type.used_by > 0} onClick={remove}>
            Delete
          </Button>
        )
      }
    >
      <Panel>
        <Facts
          facts={[
            ['Name in manifests', <code key="name" className="mono">{type.name}</code>],
            ['Used by', type.used_by === 0 ? 'nothing yet' : many(type.used_by, type.kind)],
            ...(type.kind === 'sensor'
              ? [['Expected to send', type.expected_interval_seconds ? `every ${String(type.expected_interval_seconds)} s` : 'no expectation'] as [string, string]]
              : []),
          ]}
        />
      </Panel>
      {type.kind === 'sensor' ? (
        <Panel title="Measures" flush>
          <Table<[string, Property]>
            label="what it measures"
            rows={Object.entries(type.properties ?? {})}
            id={([name]) => name}
            columns={[
              { title: 'What', cell: ([name, property]) => property.title ?? words(name) },
              { title: 'Unit', cell: ([, property]) => unit(property.unit).trim() || 'none' },
              { title: 'Values that are taken', cell: ([, property]) => range(property) },
              { title: 'Name in messages', cell: ([name]) => <code className="mono">{name}</code> },
            ]}
          />
        </Panel>
      ) : (
        Object.entries(type.commands ?? {}).map(([name, command]) => (
          <Panel key={name} title={command.title ?? words(name)} aside={<code className="mono">{name}</code>} flush>
            <Table<[string, Parameter]>
              label={`what ${command.title ?? name} takes`}
              rows={Object.entries(command.arguments ?? {})}
              id={([argument]) => argument}
              columns={[
                { title: 'With', cell: ([argument, facts]) => facts.title ?? words(argument) },
                { title: 'Which is', cell: ([, facts]) => argumentWords(facts) },
                { title: 'Name in messages', cell: ([argument]) => <code className="mono">{argument}</code> },
              ]}
            />
          </Panel>
        ))
      )}
      <Panel title="In a manifest">
        <Snippet label="a slot in app.json" text={`"slots": {\n  "${type.name}": { ${slot} }\n}`} />
      </Panel>
    </Page>
  );
}

import { Button } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconBooks, IconPlus } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { TypeFacts } from '@/api/types';
import { has, useMe } from '@/features/session/session';
import { many } from '@/ui/format';
import { List } from '@/ui/list';
import { Empty } from '@/ui/outcome';
import { Page } from '@/ui/page';
import type { Column } from '@/ui/table';
import { NewType } from './create';
import { gist, typeListOptions } from './data';

const COLUMNS: Column<TypeFacts>[] = [
  {
    title: 'Type',
    cell: (type) => (
      <Link to="/types/$name" params={{ name: type.name }}>
        {type.title}
      </Link>
    ),
  },
  { title: 'Of', cell: (type) => (type.kind === 'sensor' ? 'sensors' : 'devices') },
  { title: 'Measures or does', cell: gist },
  { title: 'Name in manifests', cell: (type) => <code className="mono">{type.name}</code>, wideOnly: true },
  { title: 'Used by', cell: (type) => (type.used_by === 0 ? 'nothing yet' : many(type.used_by, type.kind)), end: true },
];

export function TypesPage() {
  const me = useMe();
  const types = useInfiniteQuery(typeListOptions);
  const [open, dialog] = useDisclosure(false);
  const create = has(me, 'sensor_owner') && (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={dialog.open}>
      New type
    </Button>
  );
  return (
    <Page title="Types" lead="What sensors measure and devices can do. Applications name types, never single sensors: that is why they run at any place." actions={create}>
      <List
        label="types"
        of={types}
        columns={COLUMNS}
        id={(type) => type.name}
        target={(type) => ({ to: '/types/$name', params: { name: type.name } })}
        text={(type) => `${type.title} ${type.name} ${gist(type)}`}
        empty={
          <Empty icon={IconBooks} title="No types yet" action={create}>
            A type says what is measured, in which unit and range, or which commands a device takes. Begin with the types that
            your applications name in their manifests, such as <code>temperature</code> or <code>fan</code>.
          </Empty>
        }
      />
      <NewType opened={open} close={dialog.close} />
    </Page>
  );
}

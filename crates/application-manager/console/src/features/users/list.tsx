import { Button } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconUserPlus, IconUsers } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { User } from '@/api/types';
import { ROLE_WORDS } from '@/features/session/session';
import { List } from '@/ui/list';
import { Ago } from '@/ui/moment';
import { Empty } from '@/ui/outcome';
import { Page } from '@/ui/page';
import { State } from '@/ui/state';
import type { Column } from '@/ui/table';
import { NewUser } from './create';
import { userListOptions } from './data';

const COLUMNS: Column<User>[] = [
  {
    title: 'User',
    cell: (user) => (
      <Link to="/users/$name" params={{ name: user.name }}>
        {user.title}
      </Link>
    ),
  },
  { title: 'Sign-in name', cell: (user) => <code className="mono">{user.name}</code> },
  { title: 'Roles', cell: (user) => user.roles.map((role) => ROLE_WORDS[role].title).join(', ') || <span className="soft">none</span> },
  { title: 'State', cell: (user) => (user.disabled ? <State mood="bad">Disabled</State> : <State mood="ok">Active</State>), tight: true },
  { title: 'Made', cell: (user) => <Ago at={user.created} />, end: true },
];

export function UsersPage() {
  const users = useInfiniteQuery(userListOptions);
  const [open, dialog] = useDisclosure(false);
  const create = (
    <Button leftSection={<IconUserPlus size={16} aria-hidden />} onClick={dialog.open}>
      New user
    </Button>
  );
  return (
    <Page title="Users" lead="Who signs in, and what they may do. A person may have several roles." actions={create}>
      <List
        label="users"
        of={users}
        columns={COLUMNS}
        id={(user) => user.id}
        target={(user) => ({ to: '/users/$name', params: { name: user.name } })}
        text={(user) => `${user.title} ${user.name} ${user.roles.join(' ')}`}
        empty={<Empty icon={IconUsers} title="No users" action={create} />}
      />
      <NewUser opened={open} close={dialog.close} />
    </Page>
  );
}

import { ActionIcon, Drawer, Indicator, Menu, UnstyledButton, useMantineColorScheme } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { spotlight } from '@mantine/spotlight';
import {
  IconBell,
  IconCheck,
  IconDeviceDesktop,
  IconLogout,
  IconMenu2,
  IconMoon,
  IconSearch,
  IconSun,
  IconUserCircle,
} from '@tabler/icons-react';
import { Link, Outlet } from '@tanstack/react-router';
import { useMe } from '@/features/session/session';
import { useSignOut } from '@/features/session/sign-out';
import { useUnseen } from '@/features/notifications/unseen';
import { useConnected, useFreshLists } from '@/live/context';
import { Mark } from './mark';
import { navigation } from './navigation';
import { Palette } from './palette';
import classes from './shell.module.css';

/** The frame around every page: navigation, search, who is signed in. */
export function Shell() {
  const [open, drawer] = useDisclosure(false);
  useFreshLists(['instances', 'applications', 'schedules', 'notifications', 'registry', 'health', 'users']);
  return (
    <div className={classes.shell}>
      <a href="#content" className={classes.skip}>
        Skip to content
      </a>
      <aside className={classes.rail}>
        <Link to="/" className={classes.brand}>
          <Mark />
          <span>IoT platform</span>
        </Link>
        <Navigation />
        <LiveSign />
      </aside>
      <Drawer opened={open} onClose={drawer.close} size={264} withCloseButton={false} padding={0} classNames={{ content: classes.drawer, body: classes.drawerBody }} attributes={{ content: { 'aria-label': 'navigation' } }}>
        <div className={classes.brand}>
          <Mark />
          <span>IoT platform</span>
        </div>
        <Navigation onFollow={drawer.close} />
        <LiveSign />
      </Drawer>
      <div className={classes.stage}>
        <section className={classes.bar} aria-label="tools">
          <ActionIcon className={classes.burger} variant="subtle" size="lg" aria-label="open navigation" onClick={drawer.open}>
            <IconMenu2 size={20} />
          </ActionIcon>
          <UnstyledButton className={classes.search} onClick={spotlight.open} aria-label="search">
            <IconSearch size={16} aria-hidden />
            <span>Search or jump to…</span>
            <kbd>Ctrl K</kbd>
          </UnstyledButton>
          <div className={classes.end}>
            <Bell />
            <Person />
          </div>
        </section>
        <main id="content" className={classes.content} tabIndex={-1}>
          <Outlet />
        </main>
      </div>
      <Palette />
    </div>
  );
}

function Navigation({ onFollow }: { onFollow?: () => void }) {
  const me = useMe();
  return (
    <nav className={classes.nav} aria-label="main">
      {navigation(me).map((group) => (
        <div key={group.label ?? ''} className={classes.group}>
          {group.label !== undefined && <p className={classes.groupLabel}>{group.label}</p>}
          {group.goals.map((goal) => (
            <Link key={goal.to} to={goal.to} className={classes.goal} activeOptions={{ exact: goal.to === '/' }} onClick={onFollow}>
              <goal.icon size={18} stroke={1.7} aria-hidden />
              {goal.label}
            </Link>
          ))}
        </div>
      ))}
    </nav>
  );
}

function LiveSign() {
  const connected = useConnected();
  return (
    <p className={classes.live} data-connected={connected} role="status">
      <span aria-hidden />
      {connected ? 'Live' : 'Connecting…'}
    </p>
  );
}

function Bell() {
  const unseen = useUnseen();
  return (
    <Indicator label={unseen > 99 ? '99+' : unseen} size={16} disabled={unseen === 0} offset={5} color="var(--bad)" classNames={{ indicator: classes.count }}>
      <ActionIcon
        component={Link}
        to="/notifications"
        variant="subtle"
        size="lg"
        aria-label={unseen === 0 ? 'notifications' : `notifications, ${String(unseen)} new`}
      >
        <IconBell size={19} stroke={1.7} />
      </ActionIcon>
    </Indicator>
  );
}

function Person() {
  const me = useMe();
  const signOut = useSignOut();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const schemes = [
    ['light', 'Light', IconSun],
    ['dark', 'Dark', IconMoon],
    ['auto', 'As the system', IconDeviceDesktop],
  ] as const;
  return (
    <Menu position="bottom-end" width={220} withInitialFocusPlaceholder={false}>
      <Menu.Target>
        <UnstyledButton className={classes.person} aria-label={`account of ${me.title}`}>
          <span className={classes.initial} aria-hidden>
            {me.title.slice(0, 1).toUpperCase()}
          </span>
          <span className={classes.name}>{me.title}</span>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Signed in as {me.name}</Menu.Label>
        <Menu.Item component={Link} to="/account" leftSection={<IconUserCircle size={16} aria-hidden />}>
          Your account
        </Menu.Item>
        <Menu.Divider />
        <Menu.Label>Appearance</Menu.Label>
        {schemes.map(([scheme, label, SchemeIcon]) => (
          <Menu.Item
            key={scheme}
            leftSection={<SchemeIcon size={16} aria-hidden />}
            rightSection={colorScheme === scheme && <IconCheck size={14} aria-label="chosen" />}
            onClick={() => {
              setColorScheme(scheme);
            }}
          >
            {label}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} aria-hidden />} onClick={signOut}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, type ReactNode } from 'react';
import { useHub } from '@/live/context';
import { Failed, Loading } from '@/ui/outcome';
import { ChangePassword } from './change-password';
import { Frame } from './frame';
import { sessionOptions } from './session';
import { SignIn } from './sign-in';
import { useSignOut } from './sign-out';

/** Lets through who is signed in and has a password of their own. */
export function Gate({ children }: { children: ReactNode }) {
  const session = useQuery(sessionOptions);
  const client = useQueryClient();
  const hub = useHub();
  const signOut = useSignOut();
  const inside = session.data !== undefined && session.data !== null && !session.data.password_change_required;
  useEffect(() => {
    if (!inside) return undefined;
    hub.start();
    return hub.stop;
  }, [hub, inside]);

  if (session.data === undefined) {
    return session.error ? (
      <Frame title="Not reachable" lead="It is not known who you are, so nothing can be shown.">
        <Failed error={session.error} retry={() => void session.refetch()} />
      </Frame>
    ) : (
      <Frame title="One moment" lead="The platform is asked who you are.">
        <Loading />
      </Frame>
    );
  }
  if (session.data === null) return <SignIn />;
  if (session.data.password_change_required) {
    return (
      <Frame title="Choose your password" lead={`Hello ${session.data.user.title}. The password you signed in with works only once.`}>
        <ChangePassword
          currentLabel="One-time password"
          submitLabel="Save and go on"
          done={() => void client.invalidateQueries({ queryKey: sessionOptions.queryKey })}
        />
        <Button variant="subtle" fullWidth mt="sm" onClick={signOut}>
          Sign out
        </Button>
      </Frame>
    );
  }
  return children;
}

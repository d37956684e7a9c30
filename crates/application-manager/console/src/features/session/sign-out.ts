import { useQueryClient } from '@tanstack/react-query';
import { api } from '@/api/client';
import { useHub } from '@/live/context';
import { enter } from './session';

/** Returns what signs out: here and in every other tab. */
export function useSignOut(): () => void {
  const client = useQueryClient();
  const hub = useHub();
  return () => {
    void api.DELETE('/api/v1/session').finally(() => {
      enter(client, null);
      hub.tellSession();
    });
  };
}

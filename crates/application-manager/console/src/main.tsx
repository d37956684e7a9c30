import '@mantine/core/styles.css';
import '@mantine/dropzone/styles.css';
import '@mantine/notifications/styles.css';
import '@mantine/spotlight/styles.css';
import './app/tokens.css';
import { MantineProvider } from '@mantine/core';
import { ModalsProvider } from '@mantine/modals';
import { Notifications } from '@mantine/notifications';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Problem } from './api/problem';
import { router } from './app/router';
import { theme, variables } from './app/theme';
import { Gate } from './features/session/gate';
import { sessionOptions } from './features/session/session';
import { LiveProvider } from './live/context';
import { Hub } from './live/hub';

/** What the platform refused is not asked again; what did not answer is. */
const MOST_TRIES = 3;

const client: QueryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5000,
      retry: (tries, error) => tries < MOST_TRIES && !(error instanceof Problem && error.status >= 400 && error.status < 500),
    },
  },
});

client.getQueryCache().subscribe((event) => {
  if (event.type !== 'updated' || event.action.type !== 'error') return;
  const { error } = event.action;
  const ended = error instanceof Problem && (error.status === 401 || error.kind === 'password-change-required');
  if (ended && event.query.queryKey[0] !== 'session') void client.invalidateQueries({ queryKey: sessionOptions.queryKey });
});

const hub = new Hub(() => void client.invalidateQueries({ queryKey: sessionOptions.queryKey }));

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <MantineProvider theme={theme} cssVariablesResolver={variables} defaultColorScheme="auto">
        <QueryClientProvider client={client}>
          <LiveProvider hub={hub}>
            <ModalsProvider>
              <section aria-label="messages">
                <Notifications position="bottom-right" limit={4} withinPortal={false} />
              </section>
              <Gate>
                <RouterProvider router={router} />
              </Gate>
            </ModalsProvider>
          </LiveProvider>
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}

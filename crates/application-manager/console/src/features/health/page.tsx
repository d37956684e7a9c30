import { Progress } from '@mantine/core';
import { IconServer } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import type { ComponentHealth, Host, Recovery, Service } from '@/api/types';
import { bytes, count, figure, many } from '@/ui/format';
import { Ago, Lasting } from '@/ui/moment';
import { Empty, Outcome } from '@/ui/outcome';
import { Page } from '@/ui/page';
import { Panel } from '@/ui/panel';
import { State } from '@/ui/state';
import { Table, type Column } from '@/ui/table';
import { Figures } from '@/ui/figures';
import { componentTitle, HEALTH_STATES, healthOptions, RECOVERY_STATES, serviceRole, serviceTitle } from './data';

export function ServiceState({ service }: { service: Service }) {
  if (!service.state) return <State mood="busy">No verdict yet</State>;
  const { mood, word } = HEALTH_STATES[service.state];
  return <State mood={mood}>{word}</State>;
}

const SERVICE_COLUMNS: Column<Service>[] = [
  {
    title: 'Service',
    cell: ({ service }) => (
      <div>
        <strong>{serviceTitle(service)}</strong>
        <div className="soft small">{serviceRole(service)}</div>
      </div>
    ),
  },
  {
    title: 'State',
    cell: (service) => (
      <div>
        <ServiceState service={service} />
        {service.cause !== '' && service.state !== 'up' && <div className="soft small">{service.cause}</div>}
      </div>
    ),
  },
  { title: 'Host', cell: ({ host }) => host },
  { title: 'Last heartbeat', cell: ({ last_beat: beat }) => (beat ? <Ago at={beat} /> : 'none'), end: true },
  { title: 'Runs since', cell: ({ started }) => (started ? <Lasting since={started} /> : ''), end: true },
  { title: 'Memory', cell: ({ rss_bytes: rss }) => (typeof rss === 'number' ? bytes(rss) : ''), end: true },
  { title: 'To handle', cell: ({ lag }) => count(lag), end: true, wideOnly: true },
  { title: 'Dead letters', cell: ({ dead_letters: letters }) => count(letters), end: true },
  { title: 'Version', cell: ({ program_version: version }) => version ?? '', end: true, wideOnly: true },
];

const COMPONENT_COLUMNS: Column<ComponentHealth>[] = [
  { title: 'What', cell: ({ component }) => <strong>{componentTitle(component)}</strong> },
  {
    title: 'State',
    cell: ({ state, cause }) => (
      <div>
        <State mood={HEALTH_STATES[state].mood}>{HEALTH_STATES[state].word}</State>
        {state !== 'up' && <div className="soft small">{cause}</div>}
      </div>
    ),
  },
  { title: 'Since', cell: ({ since }) => <Lasting since={since} />, end: true },
];

const RECOVERY_COLUMNS: Column<Recovery>[] = [
  { title: 'Service', cell: ({ service }) => <strong>{serviceTitle(service)}</strong> },
  {
    title: 'State',
    cell: ({ state, outcome }) => (
      <div>
        <State mood={RECOVERY_STATES[state].mood}>{RECOVERY_STATES[state].word}</State>
        <div className="soft small">{outcome}</div>
      </div>
    ),
  },
  { title: 'Started on', cell: ({ host }) => host },
  { title: 'In the place of', cell: ({ instead_of: lost }) => lost },
  { title: 'Since', cell: ({ since }) => <Ago at={since} />, end: true },
];

const HOST_COLUMNS: Column<Host>[] = [
  {
    title: 'Host',
    cell: (host) => (
      <div>
        <strong>{host.name}</strong>
        <div className="soft small">{host.address}</div>
      </div>
    ),
  },
  { title: 'Engine', cell: (host) => (host.engine_version === '' ? <State mood="bad">does not answer</State> : host.engine_version) },
  { title: 'Containers', cell: (host) => count(host.containers), end: true },
  { title: 'Load', cell: (host) => `${figure(host.load)} of ${many(host.cpus, 'CPU')}`, end: true },
  { title: 'Memory', cell: (host) => <Share label={`memory of ${host.name}`} used={host.memory_total_bytes - host.memory_available_bytes} total={host.memory_total_bytes} /> },
  { title: 'Disk', cell: (host) => <Share label={`disk of ${host.name}`} used={host.disk_total_bytes - host.disk_free_bytes} total={host.disk_total_bytes} /> },
  { title: 'Reported', cell: (host) => <Ago at={host.at} />, end: true },
];

const FULL = 0.9;

function Share({ label, used, total }: { label: string; used: number; total: number }) {
  const share = total === 0 ? 0 : used / total;
  return (
    <div style={{ minWidth: 130 }}>
      <span className="figures small">
        {bytes(used)} of {bytes(total)}
      </span>
      <Progress value={share * 100} size={5} color={share > FULL ? 'var(--bad)' : 'var(--accent)'} aria-label={label} />
    </div>
  );
}

export function HealthPage() {
  const health = useQuery(healthOptions);
  return (
    <Page title="Health" lead="The services of the platform, the hosts of the applications, and messages that could not be worked on.">
      <Outcome of={health} framed>
        {({ services, hosts, components, recoveries, dead_letters: letters }) => {
          const up = services.filter(({ state }) => state === 'up').length;
          const memory = services.reduce((sum, { rss_bytes: rss }) => sum + (rss ?? 0), 0);
          return (
            <>
              <Figures
                figures={[
                  { label: 'Services up', value: `${String(up)} of ${String(services.length)}`, mood: up === services.length ? 'ok' : 'bad' },
                  { label: 'Application hosts', value: count(hosts.length), mood: hosts.length === 0 ? 'warn' : 'ok' },
                  { label: 'Memory of the services', value: bytes(memory), mood: 'idle' },
                  { label: 'Dead letters', value: count(letters), mood: letters === 0 ? 'ok' : 'warn' },
                ]}
              />
              <Panel title="Services" flush>
                {services.length === 0 ? <Empty title="No heartbeat yet">Services report every two seconds.</Empty> : <Table label="services" rows={services} id={(service) => `${service.service}@${service.host}`} columns={SERVICE_COLUMNS} />}
              </Panel>
              <Panel title="What they stand on" flush>
                {components.length === 0 ? <Empty title="No verdict yet">The monitor looks at hosts, Kafka and MongoDB every few seconds.</Empty> : <Table label="hosts, Kafka, MongoDB" rows={components} id={({ component }) => componentTitle(component)} columns={COMPONENT_COLUMNS} />}
              </Panel>
              {recoveries.length > 0 && (
                <Panel title="Recoveries" flush>
                  <Table label="recoveries" rows={recoveries} id={({ service, host }) => `${service}@${host}`} columns={RECOVERY_COLUMNS} />
                </Panel>
              )}
              <Panel title="Application hosts" flush>
                {hosts.length === 0 ? (
                  <Empty icon={IconServer} title="No host has reported yet">
                    The node agent of each application host reports every five seconds.
                  </Empty>
                ) : (
                  <Table label="application hosts" rows={hosts} id={(host) => host.name} columns={HOST_COLUMNS} />
                )}
              </Panel>
              {letters > 0 && (
                <p className="soft small">
                  A dead letter is a message that could never work. It lies in the topic of the same name with <code>.dead</code>, with its reason; the service’s log names it as well.
                </p>
              )}
            </>
          );
        }}
      </Outcome>
    </Page>
  );
}

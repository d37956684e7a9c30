import { useQuery } from '@tanstack/react-query';
import type { Instance } from '@/api/types';
import { versionOptions } from '@/features/applications/data';
import { valueWithUnit, words } from '@/ui/format';
import { Empty } from '@/ui/outcome';
import { Facts, Panel } from '@/ui/panel';

/** What was chosen for this run, with the words of the manifest. */
export function Chosen({ instance }: { instance: Instance }) {
  const { name, version } = instance.application;
  const detail = useQuery({ ...versionOptions(name ?? '', version), enabled: name !== undefined && name !== null });
  const parameters = detail.data?.manifest.parameters ?? {};
  const entries = Object.entries((instance.parameters ?? {}) as Record<string, string | number | boolean>);
  return (
    <Panel title="Parameters">
      {entries.length === 0 ? (
        <Empty title="It has none" />
      ) : (
        <Facts facts={entries.map(([key, value]) => [parameters[key]?.title ?? words(key), valueWithUnit(value, parameters[key]?.unit)])} />
      )}
    </Panel>
  );
}

import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { applicationOptions, versionOptions } from '@/features/applications/data';
import { Empty, Outcome } from '@/ui/outcome';
import { Page } from '@/ui/page';
import { PageOf } from '@/ui/page-of';
import { Panel } from '@/ui/panel';
import { Way } from './way';

/** From an application to a run of it: place, parameters, time. */
export function RunPage() {
  const { name } = useParams({ strict: false }) as { name: string };
  const application = useQuery(applicationOptions(name));
  return (
    <PageOf of={application}>
      {({ title, ready }) => (
        <Page title={`Run ${title}`} narrow up={{ to: '/applications/$name', params: { name }, label: title }}>
          {ready === null || ready === undefined ? (
            <Panel>
              <Empty title="No version is ready yet">
                Its image is being built, or could not be built. <Link to="/applications/$name" params={{ name }}>Its page</Link> says more.
              </Empty>
            </Panel>
          ) : (
            <Ready name={name} version={ready} />
          )}
        </Page>
      )}
    </PageOf>
  );
}

function Ready({ name, version }: { name: string; version: string }) {
  const detail = useQuery(versionOptions(name, version));
  return <Outcome of={detail} framed>{({ manifest }) => <Way key={version} name={name} version={version} manifest={manifest} />}</Outcome>;
}

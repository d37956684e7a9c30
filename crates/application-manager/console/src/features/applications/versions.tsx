import { Button, Collapse } from '@mantine/core';
import { useState } from 'react';
import { api, ask } from '@/api/client';
import type { Application, Version } from '@/api/types';
import { Log } from '@/features/logs/log';
import { bytes } from '@/ui/format';
import { Ago } from '@/ui/moment';
import { Panel } from '@/ui/panel';
import { State } from '@/ui/state';
import { VERSION_STATES } from './data';
import classes from './versions.module.css';

/** Every version, newest first, with its build log for those who may see it. */
export function Versions({ application }: { application: Application }) {
  const newest = application.versions[0];
  const [open, setOpen] = useState(newest !== undefined && newest.state !== 'ready' ? newest.number : undefined);
  return (
    <Panel title="Versions" flush>
      <ul className={classes.list}>
        {application.versions.map((version) => (
          <li key={version.id}>
            <Row
              application={application}
              version={version}
              open={open === version.number}
              toggle={() => {
                setOpen(open === version.number ? undefined : version.number);
              }}
            />
          </li>
        ))}
      </ul>
    </Panel>
  );
}

interface RowProps {
  application: Application;
  version: Version;
  open: boolean;
  toggle: () => void;
}

function Row({ application, version, open, toggle }: RowProps) {
  const { mood, word } = VERSION_STATES[version.state];
  return (
    <>
      <div className={classes.row}>
        <strong className="figures">{version.number}</strong>
        <State mood={mood}>{word}</State>
        <span className="soft small">
          {version.kind === 'service' ? 'runs until stopped' : 'runs to completion'}
          {version.has_page && ' · with pages'} · {bytes(version.size_bytes)} · uploaded <Ago at={version.uploaded} />
        </span>
        {application.may_change && (
          <Button className={classes.toggle} size="compact-sm" variant="subtle" onClick={toggle} aria-expanded={open}>
            {open ? 'Hide build log' : 'Build log'}
          </Button>
        )}
      </div>
      {version.state === 'failed' && <p className={classes.reason}>{version.reason}</p>}
      {application.may_change && (
        <Collapse expanded={open}>
          {open && (
            <div className={classes.log}>
              <Log
                topic={`build:${version.id}`}
                read={(query) => ask(api.GET('/api/v1/applications/{name}/versions/{version}/log', { params: { path: { name: application.name, version: version.number }, query } }))}
                file={`${application.name}-${version.number}-build.log`}
                hint="The lines appear as soon as the build prints them."
              />
            </div>
          )}
        </Collapse>
      )}
    </>
  );
}

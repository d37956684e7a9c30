import { Button, SegmentedControl } from '@mantine/core';
import { IconPlayerPlay } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { List } from '@/ui/list';
import { Empty } from '@/ui/outcome';
import { Page } from '@/ui/page';
import { instanceListOptions } from './data';
import { INSTANCE_COLUMNS } from './table';

const WHICH = [
  { value: 'all', label: 'All' },
  { value: 'active', label: 'Going on' },
  { value: 'over', label: 'Over' },
];

export function InstancesPage() {
  const [which, setWhich] = useState('all');
  const instances = useInfiniteQuery(instanceListOptions(which === 'all' ? {} : { active: which === 'active' }));
  return (
    <Page title="Instances" lead="Every run of an application: what runs now, and what ran.">
      <List
        label="instances"
        of={instances}
        columns={Object.values(INSTANCE_COLUMNS)}
        id={(instance) => instance.id}
        target={(instance) => ({ to: '/instances/$id', params: { id: instance.id } })}
        text={(instance) => `${instance.name} ${instance.application.title} ${instance.location.path} ${instance.owner.title}`}
        filtered={which !== 'all'}
        filters={<SegmentedControl size="xs" data={WHICH} value={which} onChange={setWhich} aria-label="which instances" />}
        empty={
          <Empty
            icon={IconPlayerPlay}
            title="Nothing has run yet"
            action={
              <Button component={Link} to="/applications">
                Choose an application
              </Button>
            }
          >
            An instance is one run of an application at a place. Choose an application, say where and when, and it appears here.
          </Empty>
        }
      />
    </Page>
  );
}

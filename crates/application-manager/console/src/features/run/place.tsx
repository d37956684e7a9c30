import { Button } from '@mantine/core';
import { useQueries, useQuery } from '@tanstack/react-query';
import { IconMapPin } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import type { Location } from '@/api/types';
import { locationsOptions } from '@/features/locations/data';
import { LocationTree } from '@/features/locations/tree';
import { has, useMe } from '@/features/session/session';
import { Empty, Outcome } from '@/ui/outcome';
import { Fit, matchOptions, Slots } from './match';
import classes from './place.module.css';

interface PlaceProps {
  application: string;
  version: string;
  chosen: Location | undefined;
  choose: (location: Location) => void;
}

/** Up to so many places, each is looked at before it is chosen. */
const MOST_LOOKED_AT = 60;

/** Chooses a place, and shows what it has for the application. */
export function Place({ application, version, chosen, choose }: PlaceProps) {
  const locations = useQuery(locationsOptions);
  return (
    <Outcome of={locations}>
      {(list) =>
        list.length === 0 ? (
          <NoPlace />
        ) : (
          <div className={classes.place}>
            <Tree application={application} version={version} chosen={chosen} choose={choose} locations={list} />
            <div className={classes.match}>
              {chosen ? <Chosen application={application} version={version} location={chosen} /> : <p className="soft small">Choose a place: it and everything in it counts.</p>}
            </div>
          </div>
        )
      }
    </Outcome>
  );
}

function NoPlace() {
  const me = useMe();
  return has(me, 'sensor_owner') ? (
    <Empty
      icon={IconMapPin}
      title="No locations yet"
      action={
        <Button component={Link} to="/locations">
          Make a location
        </Button>
      }
    >
      An application runs at a place, with the sensors and devices that are registered there.
    </Empty>
  ) : (
    <Empty icon={IconMapPin} title="There is no place for you yet">
      Someone who manages a location can give you the right to use it.
    </Empty>
  );
}

function Tree({ application, version, chosen, choose, locations }: PlaceProps & { locations: Location[] }) {
  const looked = locations.length <= MOST_LOOKED_AT ? locations : [];
  const matches = useQueries({
    queries: looked.map(({ id }) => matchOptions(application, version, id)),
    combine: (results) => new Map(results.map((result, index) => [looked[index]?.id, result.data])),
  });
  return <LocationTree label="place" locations={locations} chosen={chosen?.id} choose={choose} note={(location) => <Fit match={matches.get(location.id)} />} />;
}

function Chosen({ application, version, location }: { application: string; version: string; location: Location }) {
  const match = useQuery(matchOptions(application, version, location.id));
  return (
    <Outcome of={match}>
      {(data) => (
        <>
          <p className={classes.path}>{location.path}</p>
          <Slots match={data} />
          {!data.satisfied && <p className="soft small">You can go on: it waits, and starts by itself as soon as what is missing is registered there.</p>}
        </>
      )}
    </Outcome>
  );
}

import { Select, type SelectProps } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { locationsOptions } from './data';

interface LocationSelectProps extends Omit<SelectProps, 'data'> {
  /** Only places that the caller manages. */
  manage?: boolean;
  /** Not this place nor what is in it. */
  without?: string;
}

/** Chooses a place by its path. */
export function LocationSelect({ manage = false, without, ...rest }: LocationSelectProps) {
  const locations = useQuery(locationsOptions);
  const hidden = without === undefined ? undefined : locations.data?.find(({ id }) => id === without)?.path;
  const choices = (locations.data ?? [])
    .filter((location) => !manage || location.may_manage)
    .filter(({ path }) => hidden === undefined || (path !== hidden && !path.startsWith(`${hidden} / `)))
    .map(({ id, path }) => ({ value: id, label: path }));
  return (
    <Select
      searchable
      required
      withAsterisk={false}
      placeholder={choices.length === 0 && locations.isSuccess ? 'no location yet: make one under Locations' : 'Building A / Lab'}
      nothingFoundMessage="no such place"
      {...rest}
      data={choices}
    />
  );
}

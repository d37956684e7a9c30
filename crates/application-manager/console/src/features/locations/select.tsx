import { Select, type SelectProps } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { locationsOptions } from './data';

interface LocationSelectProps extends Omit<SelectProps, 'data' | 'value' | 'onChange'> {
  value?: string | null;
  onChange?: (id: string | null) => void;
  /** Only places that the caller manages. */
  manage?: boolean;
  /** Not this place nor what is in it. */
  without?: string | undefined;
  /** How the choice of no place is called, where that is a choice. */
  none?: string | undefined;
}

/** In the place of an id: no place. */
const NONE = 'none';

/** Chooses a place by its path. */
export function LocationSelect({ manage = false, without, none, value = null, onChange, ...rest }: LocationSelectProps) {
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
      data={none === undefined ? choices : [{ value: NONE, label: none }, ...choices]}
      value={none === undefined ? value : (value ?? NONE)}
      onChange={(chosen) => onChange?.(chosen === NONE ? null : chosen)}
    />
  );
}

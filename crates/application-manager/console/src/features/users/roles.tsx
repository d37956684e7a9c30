import { Checkbox, Stack } from '@mantine/core';
import type { Role } from '@/api/types';
import { ROLE_WORDS } from '@/features/session/session';

const ROLES: Role[] = ['end_user', 'sensor_owner', 'developer', 'admin'];

/** Chooses roles, with what each is for. */
export function RoleFields({ value, onChange }: { value: Role[]; onChange: (roles: Role[]) => void }) {
  return (
    <Checkbox.Group
      label="Roles"
      value={value}
      onChange={(roles) => {
        onChange(roles as Role[]);
      }}
    >
      <Stack gap="xs" mt={6}>
        {ROLES.map((role) => (
          <Checkbox key={role} value={role} label={ROLE_WORDS[role].title} description={ROLE_WORDS[role].does} />
        ))}
      </Stack>
    </Checkbox.Group>
  );
}

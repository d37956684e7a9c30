/** Changes that the API knows, in words. */
const DEEDS: Record<string, string> = {
  'POST /api/v1/session': 'signed in',
  'DELETE /api/v1/session': 'signed out',
  'POST /api/v1/session/password': 'changed the own password',
  'POST /api/v1/users': 'made a user',
  'PATCH /api/v1/users/{name}': 'changed a user',
  'DELETE /api/v1/users/{name}': 'deleted a user',
  'POST /api/v1/tokens': 'made an API token',
  'DELETE /api/v1/tokens/{id}': 'ended an API token',
  'POST /api/v1/applications': 'uploaded a version',
  'PATCH /api/v1/applications/{name}': 'changed who sees an application',
  'POST /api/v1/locations': 'made a location',
  'PATCH /api/v1/locations/{id}': 'changed a location',
  'DELETE /api/v1/locations/{id}': 'deleted a location',
  'POST /api/v1/types': 'made a type',
  'DELETE /api/v1/types/{name}': 'deleted a type',
  'POST /api/v1/connectors': 'made a connector',
  'POST /api/v1/connectors/{id}/secret': 'made a new secret for a connector',
  'DELETE /api/v1/connectors/{id}': 'deleted a connector',
  'POST /api/v1/sensors': 'registered a sensor',
  'PATCH /api/v1/sensors/{id}': 'changed a sensor',
  'DELETE /api/v1/sensors/{id}': 'deleted a sensor',
  'POST /api/v1/devices': 'registered a device',
  'PATCH /api/v1/devices/{id}': 'changed a device',
  'DELETE /api/v1/devices/{id}': 'deleted a device',
  'POST /api/v1/devices/{id}/commands': 'gave a device a command',
  'POST /api/v1/schedules': 'made a schedule',
  'POST /api/v1/schedules/preview': 'looked when a schedule would run',
  'POST /api/v1/schedules/{id}/pause': 'paused a schedule',
  'POST /api/v1/schedules/{id}/resume': 'let a schedule go on',
  'DELETE /api/v1/schedules/{id}': 'deleted a schedule',
  'POST /api/v1/instances/{id}/stop': 'stopped an instance',
};

/** Says what a request did. */
export function deed(action: string): string {
  return DEEDS[action] ?? action;
}

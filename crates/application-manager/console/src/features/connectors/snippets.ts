import type { Credentials, Property } from '@/api/types';

/** What is sent or commanded: enough to write an example. */
export type Thing =
  | { kind: 'sensor'; id: string; properties: Record<string, Property> }
  | { kind: 'device'; id: string };

export interface Example {
  label: string;
  text: string;
}

const UNKNOWN_SECRET = 'SECRET';

function exampleValue(property: Property): number {
  const { minimum, maximum } = property;
  if (typeof minimum === 'number' && typeof maximum === 'number') {
    const middle = minimum + (maximum - minimum) * 0.45;
    return Number(middle.toPrecision(3));
  }
  return 21.5;
}

/** Returns a message that a sensor of these properties sends. */
export function exampleMessage(properties: Record<string, Property>): string {
  const entries = Object.entries(properties);
  const [first] = entries;
  if (entries.length === 1 && first) return JSON.stringify({ value: exampleValue(first[1]) });
  return JSON.stringify({ values: Object.fromEntries(entries.map(([name, property]) => [name, exampleValue(property)])) });
}

/** Returns commands that can be pasted into a shell as they are. */
export function examples(credentials: Credentials, thing: Thing): Example[] {
  const { username, mqtt } = credentials;
  const secret = credentials.secret ?? UNKNOWN_SECRET;
  const at = `-h ${mqtt.host} -p ${String(mqtt.port)} -u ${username} -P ${secret}`;
  if (thing.kind === 'device') {
    const commands = credentials.commands_topic.replace('<device id>', thing.id);
    const state = credentials.state_topic.replace('<device id>', thing.id);
    return [
      { label: 'See its commands arrive (MQTT)', text: `mosquitto_sub -V mqttv311 ${at} \\\n  -q 1 -t ${commands}` },
      {
        label: 'Report a command done (MQTT)',
        text: `mosquitto_pub ${at} \\\n  -q 1 -t '${state.replace('<command id>', 'ID-OF-THE-COMMAND')}' \\\n  -m '{"ok":true,"state":{"on":true}}'`,
      },
    ];
  }
  const message = exampleMessage(thing.properties);
  const topic = credentials.readings_topic.replace('<sensor id>', thing.id);
  const url = credentials.readings_url.replace('<sensor id>', thing.id);
  return [
    { label: 'Send a reading (MQTT)', text: `mosquitto_pub ${at} \\\n  -q 1 -t ${topic} \\\n  -m '${message}'` },
    { label: 'Send a reading (HTTP)', text: `curl -u ${username}:${secret} \\\n  -H 'content-type: application/json' \\\n  -d '${message}' \\\n  ${url}` },
  ];
}

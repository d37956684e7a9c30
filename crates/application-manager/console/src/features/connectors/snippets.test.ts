import { describe, expect, it } from 'vitest';
import type { Credentials } from '@/api/types';
import { exampleMessage, examples } from './snippets';

const credentials: Credentials = {
  username: 'board-1',
  secret: 's3cret',
  mqtt: { host: 'iot.example', port: 1883 },
  http: { host: 'iot.example', port: 8082 },
  readings_topic: 'v1/sensors/<sensor id>/readings',
  commands_topic: 'v1/devices/<device id>/commands',
  state_topic: 'v1/devices/<device id>/commands/<command id>/state',
  readings_url: 'http://iot.example:8082/v1/sensors/<sensor id>/readings',
};

describe('examples', () => {
  it('are complete for a sensor', () => {
    const [mqtt, http] = examples(credentials, { kind: 'sensor', id: 'abc', properties: { temperature: { minimum: 0, maximum: 100 } } });
    expect(mqtt?.text).toContain('-h iot.example -p 1883 -u board-1 -P s3cret');
    expect(mqtt?.text).toContain('v1/sensors/abc/readings');
    expect(mqtt?.text).toContain('{"value":45}');
    expect(http?.text).toContain('http://iot.example:8082/v1/sensors/abc/readings');
  });

  it('leave no placeholder for a device but the command', () => {
    const text = examples({ ...credentials, secret: undefined }, { kind: 'device', id: 'fan' }).map((example) => example.text).join();
    expect(text).toContain('-P SECRET');
    expect(text).toContain('v1/devices/fan/commands');
    expect(text).not.toContain('<');
  });

  it('name each property when there are several', () => {
    expect(JSON.parse(exampleMessage({ temperature: {}, humidity: { minimum: 0, maximum: 100 } }))).toEqual({ values: { temperature: 21.5, humidity: 45 } });
  });
});

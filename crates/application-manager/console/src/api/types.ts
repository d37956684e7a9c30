import type { components } from '@generated/schema';

type Schemas = components['schemas'];

export type User = Schemas['UserView'];
export type Role = Schemas['Role'];
export type WhoAmI = Schemas['WhoAmI'];
export type Location = Schemas['LocationView'];
export type Grant = Schemas['GrantView'];
export type TypeFacts = Schemas['TypeView'];
export type Property = Schemas['Property'];
export type CommandSpec = Schemas['CommandSpec'];
export type Parameter = Schemas['Parameter'];
export type Connector = Schemas['ConnectorView'];
export type Credentials = Schemas['Credentials'];
export type Sensor = Schemas['SensorView'];
export type Device = Schemas['DeviceView'];
export type Command = Schemas['CommandView'];
export type Notification = Schemas['NotificationView'];
export type Point = Schemas['Point'];
export type Readings = Schemas['ReadingsView'];
export type When = Schemas['When'];
export type Manifest = Schemas['Manifest'];
export type Missing = Schemas['Missing'];

/** A value of a parameter or command argument. */
export type Value = string | number | boolean;
export type Values = Record<string, Value>;

export type Application = Schemas['ApplicationView'];
export type Version = Schemas['VersionView'];
export type VersionDetail = Schemas['VersionDetail'];
export type Match = Schemas['MatchView'];
export type SlotMatch = Schemas['SlotMatch'];
export type Schedule = Schemas['ScheduleView'];
export type Instance = Schemas['InstanceView'];
export type BoundSlot = Schemas['BoundSlot'];
export type Service = Schemas['ServiceView'];
export type Host = Schemas['Node'];
export type ComponentHealth = Schemas['ComponentHealth'];
export type Recovery = Schemas['Recovery'];
export type Audit = Schemas['AuditView'];
export type Refused = Schemas['QuarantineView'];
export type Token = Schemas['TokenView'];
export type LogEntry = Schemas['LogEntry'];

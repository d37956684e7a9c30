//! Types, locations, connectors, sensors, devices: `registry.commands`, `registry.events`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::Requester;
use crate::manifest::{Parameter, ThingKind};
use crate::names::Slug;
use crate::{ConnectorId, DeviceId, LocationId, Message, SensorId, Timestamp, Topic, UserId};

/// A sensor type or device type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Type {
    /// Name in manifests.
    pub name: Slug,
    /// What people see.
    pub title: String,
    /// Of sensors or devices.
    pub kind: ThingKind,
    /// What a sensor of this type measures, by property name.
    #[serde(default)]
    pub properties: BTreeMap<String, Property>,
    /// Seconds within which a sensor of this type is expected to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_interval_seconds: Option<u32>,
    /// What a device of this type can do, by command name.
    #[serde(default)]
    pub commands: BTreeMap<String, CommandSpec>,
    /// Grows with each change.
    #[serde(default)]
    pub version: u64,
}

/// What a sensor measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Property {
    /// What people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Unit from the SenML registry, such as `Cel`, `%RH`, `lx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Smallest value that can be true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// Largest value that can be true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
}

/// What a device can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandSpec {
    /// What people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Arguments by name.
    #[serde(default)]
    pub arguments: BTreeMap<String, Parameter>,
}

/// A node of the tree of places.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Location {
    /// Identity.
    pub id: LocationId,
    /// Name among its siblings.
    pub name: String,
    /// Campus, building, floor, room, … as people call it.
    pub kind: String,
    /// The node above; none for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<LocationId>,
    /// Rights on this node and everything below.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// Grows with each change.
    #[serde(default)]
    pub version: u64,
}

/// A right on a subtree of locations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Grant {
    /// What is allowed.
    pub right: Right,
    /// To whom; absent: everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
}

/// What a grant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Run applications on the sensors and devices there.
    Use,
    /// Register and change sensors, devices, connectors and locations there; includes `use`.
    Manage,
}

/// What signs in to send readings and take commands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Connector {
    /// Identity; also its user name.
    pub id: ConnectorId,
    /// Name.
    pub name: String,
    /// Where it is.
    pub location: LocationId,
    /// SHA-256 of its secret, hex.
    pub secret_sha256: String,
    /// When it was registered.
    pub created: Timestamp,
    /// Grows with each change.
    #[serde(default)]
    pub version: u64,
}

/// A sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Sensor {
    /// Identity.
    pub id: SensorId,
    /// Name.
    pub name: String,
    /// Name of its type.
    #[serde(rename = "type")]
    pub type_name: Slug,
    /// Where it is.
    pub location: LocationId,
    /// What carries it.
    pub connector: ConnectorId,
    /// When it was registered.
    pub created: Timestamp,
    /// Grows with each change.
    #[serde(default)]
    pub version: u64,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Device {
    /// Identity.
    pub id: DeviceId,
    /// Name.
    pub name: String,
    /// Name of its type.
    #[serde(rename = "type")]
    pub type_name: Slug,
    /// Where it is.
    pub location: LocationId,
    /// What carries it.
    pub connector: ConnectorId,
    /// When it was registered.
    pub created: Timestamp,
    /// Grows with each change.
    #[serde(default)]
    pub version: u64,
}

/// An entry of the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A type.
    Type(Type),
    /// A location.
    Location(Location),
    /// A connector.
    Connector(Connector),
    /// A sensor.
    Sensor(Sensor),
    /// A device.
    Device(Device),
}

/// Names an entry of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "entry", content = "id", rename_all = "snake_case")]
pub enum EntryId {
    /// A type.
    Type(Slug),
    /// A location.
    Location(LocationId),
    /// A connector.
    Connector(ConnectorId),
    /// A sensor.
    Sensor(SensorId),
    /// A device.
    Device(DeviceId),
}

impl Entry {
    /// Returns the name of the entry.
    #[must_use]
    pub fn id(&self) -> EntryId {
        match self {
            Self::Type(entry) => EntryId::Type(entry.name.clone()),
            Self::Location(entry) => EntryId::Location(entry.id),
            Self::Connector(entry) => EntryId::Connector(entry.id),
            Self::Sensor(entry) => EntryId::Sensor(entry.id),
            Self::Device(entry) => EntryId::Device(entry.id),
        }
    }

    /// Returns the version.
    #[must_use]
    pub fn version(&self) -> u64 {
        match self {
            Self::Type(entry) => entry.version,
            Self::Location(entry) => entry.version,
            Self::Connector(entry) => entry.version,
            Self::Sensor(entry) => entry.version,
            Self::Device(entry) => entry.version,
        }
    }

    /// Sets the version.
    pub fn set_version(&mut self, version: u64) {
        match self {
            Self::Type(entry) => entry.version = version,
            Self::Location(entry) => entry.version = version,
            Self::Connector(entry) => entry.version = version,
            Self::Sensor(entry) => entry.version = version,
            Self::Device(entry) => entry.version = version,
        }
    }
}

impl std::fmt::Display for EntryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Type(name) => write!(f, "type/{name}"),
            Self::Location(id) => write!(f, "location/{id}"),
            Self::Connector(id) => write!(f, "connector/{id}"),
            Self::Sensor(id) => write!(f, "sensor/{id}"),
            Self::Device(id) => write!(f, "device/{id}"),
        }
    }
}

/// Changes wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RegistryCommand {
    /// Create the entry, or replace it when `expected` is its version.
    Put {
        /// The entry; its version is ignored.
        entry: Entry,
        /// Version that is replaced; none: it must not exist yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected: Option<u64>,
        /// Who asks.
        by: Requester,
    },
    /// Delete the entry; refused while others refer to it.
    Delete {
        /// Which.
        id: EntryId,
        /// Who asks.
        by: Requester,
    },
}

/// What happened in the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RegistryEvent {
    /// An entry is new or changed.
    Changed {
        /// The whole entry.
        entry: Entry,
    },
    /// It is gone; a tombstone follows.
    Deleted {
        /// Which.
        id: EntryId,
    },
}

impl Message for RegistryCommand {
    const TOPIC: Topic = Topic::RegistryCommands;
    /// One key for all: entries refer to each other, so that whoever decides has to see one command after the other.
    fn key(&self) -> String {
        "registry".to_owned()
    }
}

impl Message for RegistryEvent {
    const TOPIC: Topic = Topic::RegistryEvents;
    fn key(&self) -> String {
        match self {
            Self::Changed { entry } => entry.id().to_string(),
            Self::Deleted { id } => id.to_string(),
        }
    }
}

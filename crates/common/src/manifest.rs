//! `app.json`: what a developer says about an application.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::Slug;

/// The manifest of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format of this file: 1.
    pub manifest: u32,
    /// Name of the application; stays the same over versions.
    pub name: Slug,
    /// What people see.
    pub title: String,
    /// Semantic version; a version is uploaded once and never changes.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: semver::Version,
    /// What it is for, in a few sentences.
    #[serde(default)]
    pub description: String,
    /// What it runs on.
    pub runtime: Runtime,
    /// The program and its arguments, started in the bundle's folder.
    pub start: Vec<String>,
    /// Whether it runs until stopped or to completion.
    #[serde(default)]
    pub kind: Kind,
    /// Named needs for sensors and devices.
    #[serde(default)]
    pub slots: BTreeMap<String, Slot>,
    /// What the end user may set, by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// Pages that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// What it needs of a host.
    #[serde(default)]
    pub resources: Resources,
    /// Seconds between SIGTERM and SIGKILL, 1–300.
    #[serde(default = "default_stop_timeout")]
    pub stop_timeout_seconds: u32,
    /// Copies that run at once, 1–10: one holds the session, the others stand by and serve pages.
    #[serde(default = "one")]
    pub replicas: u32,
}

fn default_stop_timeout() -> u32 {
    10
}

fn one() -> u32 {
    1
}

/// What an application runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Runtime {
    /// Python of that major version.
    Python(PythonVersion),
}

/// Versions of Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PythonVersion {
    /// Python 3, the minor version is the platform's.
    #[serde(rename = "3")]
    Three,
}

impl Runtime {
    /// Returns the key of the base image in the settings.
    #[must_use]
    pub fn base_image(self) -> &'static str {
        match self {
            Self::Python(PythonVersion::Three) => "python",
        }
    }
}

/// Whether an application ends by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Runs until it is stopped; an exit is a fault.
    #[default]
    Service,
    /// Runs to completion; exit code 0 is success.
    Task,
}

/// A named need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Sensor type that fits; exactly one of `sensor` and `device`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<Slug>,
    /// Device type that fits; exactly one of `sensor` and `device`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Slug>,
    /// How many at least; 0 makes the slot optional.
    #[serde(default = "one")]
    pub min: u32,
    /// How many at most; absent or null: all of the place.
    #[serde(default)]
    pub max: Option<u32>,
    /// What people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// Whether a slot or type is about sensors or devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ThingKind {
    /// Sends readings.
    Sensor,
    /// Takes commands.
    Device,
}

impl Slot {
    /// Returns what the slot needs; `None` for a slot that names neither or both (refused by `rules::manifest`).
    #[must_use]
    pub fn need(&self) -> Option<(ThingKind, &Slug)> {
        match (&self.sensor, &self.device) {
            (Some(name), None) => Some((ThingKind::Sensor, name)),
            (None, Some(name)) => Some((ThingKind::Device, name)),
            _ => None,
        }
    }
}

/// What the end user may set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Kind of value.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// What people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Value when none is given; a parameter without default must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Smallest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// Largest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// Values of a `choice`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Unit (SenML), for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// Kind of a parameter or command argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// Any number.
    Number,
    /// A whole number.
    Integer,
    /// Text.
    String,
    /// Yes or no.
    Boolean,
    /// One of `choices`.
    Choice,
}

/// A value of a parameter or command argument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
}

/// Values by parameter name.
pub type Values = BTreeMap<String, Value>;

/// Pages of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Port inside the container.
    pub port: u16,
    /// Path that answers 2xx when the application can serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
}

/// What an application needs of a host; also its limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// Share of one CPU.
    pub cpus: f64,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            memory_mib: 128,
            cpus: 0.25,
        }
    }
}

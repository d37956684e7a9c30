//! `app.json`: what a developer says about an application.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::Slug;

/// What names of slots and parameters look like.
const NAME: &str = "^[a-z][a-z0-9_-]{0,39}$";

/// The manifest of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format of this file.
    #[schemars(extend("const" = 1))]
    pub manifest: u32,
    /// Name of the application; stays the same over versions.
    pub name: Slug,
    /// What people see: one line.
    #[schemars(length(min = 1, max = 80))]
    pub title: String,
    /// Semantic version such as 1.2.3 or 1.2.3-rc.1. A version is uploaded once and never changes.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[schemars(
        with = "String",
        length(max = 40),
        regex(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$")
    )]
    pub version: semver::Version,
    /// What it is for, in a few sentences.
    #[serde(default)]
    #[schemars(length(max = 4000))]
    pub description: String,
    /// What it runs on.
    pub runtime: Runtime,
    /// The program and its arguments, started in the bundle's folder.
    #[schemars(length(min = 1, max = 64))]
    pub start: Vec<String>,
    /// Whether it runs until stopped or to completion.
    #[serde(default)]
    pub kind: Kind,
    /// Named needs for sensors and devices.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32, "propertyNames" = { "pattern": NAME }))]
    pub slots: BTreeMap<String, Slot>,
    /// What the end user may set, by name.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64, "propertyNames" = { "pattern": NAME }))]
    pub parameters: BTreeMap<String, Parameter>,
    /// Pages that it serves; without it there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// What it needs of a host.
    #[serde(default)]
    pub resources: Resources,
    /// Seconds that it has between SIGTERM and SIGKILL.
    #[serde(default = "default_stop_timeout")]
    #[schemars(range(min = 1, max = 300))]
    pub stop_timeout_seconds: u32,
    /// Whether an instance begins where the previous one of the same schedule ended: with what that one remembered (the state of its
    /// last checkpoint) and with the readings that came after it. Otherwise, and the first time, it begins with an empty state and
    /// the readings that come from its start on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub carry: bool,
    /// Copies that run at once; 1 for a `task`. One holds the session, the others stand by and serve pages.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
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
    /// Python of this major version.
    Python(PythonVersion),
}

/// Version of Python.
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

/// A named need: sensors or devices of one type. Which ones, the platform decides by the place that the end user picks.
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
    /// How many at least; 0 makes the slot optional. With fewer the instance waits and says what is missing.
    #[serde(default = "one")]
    #[schemars(range(max = 1000))]
    pub min: u32,
    /// How many at most; absent or null: all of the place.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max: Option<u32>,
    /// What people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 80))]
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

/// What the end user may set before a run; the console makes a form of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Kind of value.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// What people see; absent: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 80))]
    pub title: Option<String>,
    /// Value when none is given; a parameter without default must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Smallest value of a `number` or `integer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// Largest value of a `number` or `integer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// Values of a `choice`, each once; with `choice` only, and there at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 80)))]
    pub choices: Vec<String>,
    /// Unit for display, in the names of SenML: `Cel`, `%RH`, `s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    pub unit: Option<String>,
}

/// Kind of a parameter or command argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// Any number.
    Number,
    /// A whole number that JSON keeps exactly (up to 2⁵³ − 1).
    Integer,
    /// Text of up to 4096 bytes.
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

/// Pages of an application: people open them from the console, nothing needs to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Port inside the container; the program reads it from `IOT_PORT`.
    #[schemars(range(min = 1024))]
    pub port: u16,
    /// Path such as /healthz that answers 2xx when the application can serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), regex(pattern = r"^/([!-.0-~][!-~]*)?$"))]
    pub health: Option<String>,
}

/// What an application needs of a host, and the most that it gets. An installation sets how much may be asked for: `limits.application_memory_mib` and `limits.application_cpus` of config.json.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Memory, in MiB; whoever needs more is ended.
    #[schemars(range(min = 16))]
    pub memory_mib: u64,
    /// Share of one CPU; more than 1 is more than one CPU.
    #[schemars(range(min = 0.01))]
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

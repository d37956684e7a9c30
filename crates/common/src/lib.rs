//! What is said on the platform: ids, messages, topics, the manifest, schedules, settings.
//!
//! # Vocabulary
//! An **application** has **versions**; a version comes from a **bundle** (zip) with a **manifest**, which names **slots**: needs for
//! sensors or devices by **type**. A **connector** signs in and carries **sensors** and **devices**; each is at a **location**. A sensor
//! sends **readings**. A **schedule** (version + location + parameters + when) has **occurrences** (due moments); each becomes an
//! **instance**, which gets a **binding** (slots → sensors, devices). A process acts for an instance while it holds the **session**, and
//! saves a **checkpoint** (position + state). It sends **notifications** and **commands**. A **service** sends **heartbeats**; a **node** is a host in the swarm.
//!
//! # Invariants
//! No tokio, no Kafka, no MongoDB here: this crate compiles in seconds and is linked by `bootstrap`.

pub mod asyncapi;
pub mod bulk;
pub mod config;
#[cfg(test)]
mod docs;
pub mod envelope;
pub mod ids;
pub mod manifest;
pub mod messages;
pub mod names;
pub mod rights;
pub mod rules;
pub mod schedule;
pub mod settings;
pub mod time;
pub mod token;
pub mod topic;

pub use envelope::{Envelope, Message};
pub use ids::{
    ActionId, ApiTokenId, ApplicationId, ConnectorId, DeviceId, InstanceId, LocationId, MessageId, OperationId,
    ScheduleId, SensorId, UserId, VersionId,
};
pub use time::Timestamp;
pub use topic::Topic;

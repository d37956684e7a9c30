//! The registry: types, locations, connectors, sensors, devices.
//!
//! [`decide`] says whether a change may be made, [`handler`] carries it out in the store and tells it, [`directory`] is
//! the registry in memory as every process of this service sees it.

pub mod directory;

pub use directory::{DeviceFacts, Directory, SensorFacts};

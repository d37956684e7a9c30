//! The registry: types, locations, connectors, sensors, devices.
//!
//! [`decide`] says whether a change may be made, [`handler`] carries it out in [`store`] and tells it, [`directory`] is
//! the registry in memory as every process of this service sees it.
//!
//! # What is guaranteed
//! Each entry changes by compare-and-swap. That entries refer only to what exists is checked with the store's lists just
//! before. All commands have one key, so that one process handles them one after the other, however many copies there are. When
//! the partition goes to another copy while a command is being handled, that one is handled again, and two may pass at the
//! same moment (a sensor is put into a location that is being deleted): the reference then dangles, which readers treat as not
//! there, and which the next change of the entry refuses until it is mended.

pub mod decide;
pub mod directory;
pub mod handler;
pub mod store;

pub use directory::{DeviceFacts, Directory, SensorFacts};

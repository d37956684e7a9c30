//! The simulator: connectors with sensors and devices, as they would be in a building.
//!
//! **Role.** Produces readings (random walk, sine, CSV replay) and carries out device commands, over MQTT or HTTP, for
//! demonstrations, tests and benchmarks. It is a client of the platform like any other board or gateway.
//!
//! **Consumes.** A configuration file ([`Config`]); device commands.
//!
//! **Produces.** Readings and answers; a [`journal`] of what the platform has acknowledged.
//!
//! ```json
//! { "servers": { "mqtt": "127.0.0.1:1883", "http": "http://127.0.0.1:8082" }, "seed": 1,
//!   "connectors": [ { "id": "<connector>", "secret": "<secret>", "protocol": "mqtt",
//!     "sensors": [
//!       { "id": "<sensor>", "property": "temperature", "every_ms": 1000,
//!         "generator": { "kind": "random_walk", "start": 21, "step": 0.2, "minimum": 15, "maximum": 30 } },
//!       { "id": "<sensor>", "property": "temperature",
//!         "generator": { "kind": "csv", "path": "weather.csv", "column": "temperature", "time_column": "date", "speed": 3600, "repeat": true } } ],
//!     "devices": [ { "id": "<device>", "commands": ["switch"], "state": { "on": false } } ] } ] }
//! ```
//!
//! **Invariants.** A reading keeps its `boot` and `seq` however often it is sent. It is in the journal exactly once, and
//! only after its PUBACK or 202. A sensor's readings are sent in order. Losing the server loses nothing: what was not
//! acknowledged is sent again. A command is carried out once and answered as often as it comes.

pub mod backoff;
pub mod command;
pub mod config;
pub mod device;
pub mod generator;
mod http;
pub mod journal;
mod mqtt;
pub mod outbox;
pub mod reading;
pub mod replay;
mod sensor;
mod simulation;
mod stats;

pub use config::Config;
pub use simulation::Simulation;
pub use stats::Stats;

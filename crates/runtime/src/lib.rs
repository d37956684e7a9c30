//! How a service lives: bus (Kafka), store (MongoDB), telemetry, health, heartbeats, shutdown.
//!
//! A service's `main.rs` calls [`service::main`] with its assembly function, which gets a [`Context`]: the settings, a
//! [`Bus`] to publish on, consumers and tails to read with, a [`store`] for its state, and a supervised set of tasks.
//!
//! # Invariants
//! - `rdkafka` is used only in [`kafka`], `mongodb` only in [`mongo`] (and in the `store` files of services).
//! - A message is acknowledged only after its handler returned `Ok` or it went to the dead-letter topic.
//! - The process ends with a non-zero status when any of its tasks ends early, when it is fenced, when it stalls for 10 s, when one of its
//!   Kafka clients stays lost, or when Kafka was away and is back.

pub mod bus;
pub mod duty;
pub mod health;
pub mod http;
pub mod kafka;
pub mod memory;
pub mod mongo;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod tls;

mod admin;
mod dependencies;
mod heartbeat;
mod stall;

pub use bus::{BatchHandler, Bus, BusError, HandleError, Handler, Placed, Publisher, Record, TailFrom, TailItem};
pub use duty::Duty;
pub use service::Context;
pub use store::{Applied, ApplyError, Change, Entities, Entity, StoreError};

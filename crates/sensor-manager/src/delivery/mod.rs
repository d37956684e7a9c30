//! Delivery: the readings of an instance, in order, each into its state once.
//!
//! # How a reading reaches a state exactly once
//! - Readings of one sensor lie in one partition of `sensor.data`, in order. A [`stream::Stream`] scans the partitions of
//!   its sensors upwards and never goes back: where it is, is a *position* (partition → next offset).
//! - The application answers with what it has consumed and what it remembers of it. [`store::Sessions::save`] writes
//!   the position, the windows of [`dedup`] and the state in **one** document. Whoever opens the stream next gets that
//!   state and is sent what follows that position: whatever died in between, on whichever side, is undone together.
//! - Opening a stream takes a [`lease`] with a new session number and writes the number into the checkpoint before it
//!   reads it. A checkpoint of an older session fails, so a process that was given up can change nothing any more.
//! - Two records with the same boot and number are one reading: the second is not delivered.
//!
//! # How readings travel
//! One tail per process ([`hub`]) fans out to the connections that are at the live end. One that is behind reads the
//! partitions it needs by its own reader and then joins ([`source`]).

pub mod carry;
pub mod connection;
pub mod dedup;
pub mod frames;
pub mod gateway;
pub mod hub;
pub mod lease;
pub mod log;
pub mod partition;
pub mod source;
pub mod store;
pub mod stream;

use std::collections::BTreeMap;

/// Partition → offset of the next record.
pub type Position = BTreeMap<i32, i64>;

#[cfg(test)]
mod tests;

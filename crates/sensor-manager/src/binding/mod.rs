//! Bindings: which sensors and devices of its place an instance gets.
//!
//! [`decision`] matches slots with a place, [`handlers`] follow the instances, [`reconcile`] follows the registry.
//!
//! # What holds
//! - Without enough for every slot an instance is *unsatisfied*, with what is missing; it becomes bound as soon as the
//!   place has it.
//! - A bound instance stays bound: its slots follow the place (added, moved, renamed, removed), also when a slot falls
//!   below its minimum. Taking a running application's other sensors away because one was unplugged helps nobody; the
//!   event shows what is left.
//! - A released instance stays released, whatever comes late.

pub mod decision;
pub mod handlers;
pub mod reconcile;
pub mod store;

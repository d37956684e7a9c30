//! Messages, one file per subject. One topic = one tagged enum; the key is the entity whose order matters.
//!
//! Changes are additive: optional fields and new variants only. A reader ignores fields it does not know.

pub mod action;
pub mod application;
pub mod binding;
pub mod health;
pub mod instance;
pub mod log;
pub mod operation;
pub mod reading;
pub mod registry;
pub mod schedule;
pub mod user;

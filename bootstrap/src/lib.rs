//! The admin's command: from nothing to a running platform, and back.
//!
//! # Role
//! Turns `config.json` into a running installation on this machine: packages, Docker Engine with its swarm and application
//! network, Kafka, MongoDB, registry, the six services and the node agent, all under a supervisor.
//!
//! # How it decides
//! `layout`, `settings`, `network`, `firewall`, `programs`, `supervisor::render` are pure: a config and facts of the host in, files and
//! rules out. [`steps::Step`] is the list of what `up` makes so; each step first looks whether it is so already, which is why a
//! second `up` changes nothing and an interrupted one can be run again.
//!
//! # Invariants
//! - Links no Kafka client, no MongoDB driver, no OpenSSL: the first command always compiles.
//! - Everything is checked before anything is started.
//! - Nothing of another installation on the machine is touched; the Engine is shared by all and survives `down`.

mod accounts;
pub mod api;
pub mod backup;
pub mod cli;
mod command;
mod console;
pub mod demo;
pub mod doctor;
mod down;
mod engine;
pub mod failure;
mod ferretdb;
mod files;
mod firewall;
mod first_admin;
pub mod fleet;
mod folders;
mod go_program;
mod image;
mod installation;
mod kafka;
mod layout;
mod listeners;
mod mongodb;
mod network;
mod network_store;
mod options;
mod packages;
mod postgresql;
mod preflight;
mod probe;
mod processes;
mod programs;
pub mod progress;
mod registry;
mod release;
mod restore;
mod running;
mod secrets;
mod settings;
pub mod status;
pub mod steps;
mod supervisor;
pub mod support;
mod tools;

pub use engine::ensure as ensure_engine;
pub use installation::{Installation, Summary};
pub use layout::Layout;
pub use options::{Options, Profile, Programs, Scope};
pub use release::cargo;
pub use tools::node;

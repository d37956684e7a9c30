//! Against a server in this process, with real shells and real files.

mod commands;
mod keys;
mod network;
mod server;
mod signing_in;
mod trusting;
mod uploads;
mod world;

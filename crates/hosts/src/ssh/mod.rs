//! A host reached over SSH: commands run on it, files brought to it.
//!
//! # Invariants
//! - The key of the host is decided on before a user is named or a key is offered: the fingerprint of the configuration first,
//!   then `known_hosts`, else no. Nothing is ever trusted by first use; that is what [`host_key`] and [`learn`] are for.
//! - Nothing waits for ever: each phase has a time of its own, and a connection that fell silent is found by keep-alives.
//! - There are no passwords and no SHA-1: keys of files and agents only, and RSA keys sign with SHA-2.
//! - Data are not compressed.
//!
//! A [`Session`] is a connection: commands and uploads may run in it side by side. It is not made anew when it breaks; the
//! caller knows what may be repeated, and [`SshError::is_passing`] says whether that could help.

mod agent;
mod authentication;
mod command;
mod error;
mod key;
mod link;
mod session;
mod target;
mod trust;
mod upload;

#[cfg(test)]
mod tests;

pub use command::{Output, Take};
pub use error::{KeyProblem, Phase, SshError};
pub use key::{make_key, needs_passphrase, public_line};
pub use link::host_key;
pub use session::Session;
pub use target::{Agent, Identity, Passphrase, Target, Timeouts, Trust};
pub use trust::{HostKey, check, known_as, learn};
pub use upload::Source;

//! Other machines: reached over SSH, looked at, and made to be as they shall be.
//!
//! # How it decides
//! A host is described by a list of [`Item`]s in order. [`observe`] renders one shell script that looks at all of them at
//! once; [`Plan`] is the difference, typed and printable, decided without any host at hand; [`apply`] makes each difference so.
//!
//! # Invariants
//! - Looking changes nothing: `plan` may be run at any time by anybody who may sign in.
//! - Every item can be made so again and again; an apply that was interrupted anywhere is finished by the next one.
//! - A file is whole or not there: it is written beside its place, checked, and moved.
//! - The key of a host is checked before anything is said to it; a key that changed is never tried again.
//! - Secrets travel on standard input, never in a command line, and are masked in what is printed.

mod access;
pub mod apply;
mod item;
pub mod lock;
pub mod observe;
mod packages;
mod plan;
mod shell;
pub mod ssh;
mod unit;

pub use access::{Access, AccessError, Answer, Remote, last_lines};
pub use item::{Content, Input, Item, Kind, Upload};
pub use packages::{Need, PackageManager};
pub use plan::{Action, Change, Plan, unusable};
pub use shell::quote;
pub use unit::{FINGERPRINT, Unit};

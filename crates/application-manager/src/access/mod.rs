//! Users, sign-in, sessions, API tokens.

mod accounts;
mod caller;
mod password;
mod rate;
mod secret;
mod session;

pub(crate) use accounts::{Account, Accounts, FIRST_ADMIN, NewAccount};
pub(crate) use caller::{ActorSlot, Caller, Peer, SESSION_COOKIE, SignedIn};
pub(crate) use password::{Passwords, check_password};
pub(crate) use rate::Buckets;
pub(crate) use secret::{new_secret, sha256_hex};
pub(crate) use session::{ABSOLUTE_SECONDS, ApiToken, Session};

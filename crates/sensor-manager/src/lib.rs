//! The sensor manager. (Its role is described when it is assembled.)

pub mod registry;

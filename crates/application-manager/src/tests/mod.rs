//! Tests of routes: the whole router on a bus and a store in memory; the view is fed by hand.

mod description;
mod flows;
pub(crate) mod rig;
mod rights;
mod watching;
mod world;

//! Pure rules that two programs need: no I/O, no clock, no randomness.

pub mod manifest;
pub mod matching;
pub mod occurrences;
pub mod parameters;
pub mod problem;
pub mod readings;

pub use problem::Problem;
mod words;

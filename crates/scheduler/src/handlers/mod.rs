//! From messages to decisions and back: thin.

mod instances;
mod schedules;

pub use instances::{InstanceEvents, hear};
pub use schedules::ScheduleCommands;

#[cfg(test)]
mod tests;

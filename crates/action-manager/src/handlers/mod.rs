//! From messages to decisions and back: thin.

mod devices;
mod requests;

pub use devices::DeviceEvents;
pub use requests::Requests;

#[cfg(test)]
mod tests;

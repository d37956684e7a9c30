//! The simulator against small servers that really speak MQTT and HTTP, and that go away in the middle of things.

#[cfg(test)]
mod endpoint;
#[cfg(test)]
mod http;
#[cfg(test)]
mod mqtt;

//! End-to-end scenarios against real Kafka, MongoDB protocol, Docker and MQTT, and the campaigns that repeat them.
//!
//! [`stack::Stack`] brings up an installation of its own through `bootstrap`'s library, [`client::Client`] speaks the REST
//! API as any program would, [`site`] registers places, sensors and devices and simulates them, [`scenarios`] are what is
//! shown, [`ledger`] compares what was acknowledged to senders with what an application remembers.

pub mod campaigns;
pub mod client;
pub mod faults;
pub mod ledger;
pub mod scenarios;
pub mod site;
pub mod stack;
pub mod wait;

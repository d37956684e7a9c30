//! One reading as it is sent and journalled.

use common::ids::SensorId;
use common::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A reading on its way. `boot` and `seq` stay the same however often it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The sensor.
    pub sensor: SensorId,
    /// The property it measures.
    pub property: String,
    /// The start of this simulation, in milliseconds since 1970: grows with every start.
    pub boot: u64,
    /// Counts from 0 for each sensor.
    pub seq: u64,
    /// When it was measured; never earlier than the sensor's reading before.
    pub time: Timestamp,
    /// The value.
    pub value: f64,
}

impl Reading {
    /// Returns the body that the platform expects.
    #[must_use]
    pub fn body(&self) -> serde_json::Value {
        json!({
            "values": { self.property.as_str(): self.value },
            "time": self.time,
            "boot": self.boot,
            "seq": self.seq,
        })
    }

    /// Returns its line in the journal.
    #[must_use]
    pub fn journalled(&self) -> JournalledReading {
        JournalledReading {
            sensor: self.sensor,
            boot: self.boot,
            seq: self.seq,
            time: self.time,
            value: self.value,
        }
    }
}

/// A reading as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalledReading {
    /// The sensor.
    pub sensor: SensorId,
    /// The start of the simulation that sent it.
    pub boot: u64,
    /// Its number within that start.
    pub seq: u64,
    /// When it was measured.
    pub time: Timestamp,
    /// The value.
    pub value: f64,
}

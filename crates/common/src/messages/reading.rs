//! Readings: `sensor.data`, `sensor.quarantine`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ConnectorId, Message, SensorId, Timestamp, Topic};

/// What a sensor measured at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reading {
    /// The sensor.
    pub sensor: SensorId,
    /// Boot of the sender; grows. With `seq` it makes repeats recognisable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<u64>,
    /// Number of the reading within the boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// When it was measured: the sender's word, else when it was received.
    pub time: Timestamp,
    /// When the platform received it.
    pub received: Timestamp,
    /// Property → value.
    pub values: BTreeMap<String, f64>,
}

/// Readings on their way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SensorData {
    /// A checked reading.
    Reading(Reading),
}

/// A reading that did not pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Quarantine {
    /// It did not parse, is out of range, or the sensor is unknown.
    Refused {
        /// The sensor as it was named.
        sensor: String,
        /// Who sent it.
        connector: ConnectorId,
        /// What is wrong, in words.
        reason: String,
        /// What was sent, at most 1 KiB of it as text.
        sample: String,
        /// When it was received.
        received: Timestamp,
    },
}

impl Message for SensorData {
    const TOPIC: Topic = Topic::SensorData;
    fn key(&self) -> String {
        match self {
            Self::Reading(reading) => reading.sensor.to_string(),
        }
    }
}

impl Message for Quarantine {
    const TOPIC: Topic = Topic::SensorQuarantine;
    fn key(&self) -> String {
        match self {
            Self::Refused { sensor, .. } => sensor.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What a sensor measured is what an application gets, to the last bit, through every text on the way.
        #[test]
        fn a_value_survives_being_text(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
            let reading = SensorData::Reading(Reading {
                sensor: SensorId::derive(&["s"]),
                boot: None,
                seq: None,
                time: Timestamp::from_millis(0),
                received: Timestamp::from_millis(0),
                values: BTreeMap::from([("temperature".to_owned(), value)]),
            });
            let mut read = reading.clone();
            for _ in 0..2 {
                read = serde_json::from_str(&serde_json::to_value(&read).unwrap().to_string()).unwrap();
            }
            let SensorData::Reading(read) = read;
            prop_assert_eq!(read.values["temperature"].to_bits(), value.to_bits());
        }
    }
}

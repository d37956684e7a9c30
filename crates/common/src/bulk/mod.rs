//! Layouts of the two stores of bulk data that more than one service touches. Versioned like messages: additive changes only.

use serde::{Deserialize, Serialize};

use crate::{SensorId, Timestamp};

/// GridFS bucket of bundles: written by the application manager, read by the deployer. The file name is the SHA-256 in hex.
pub const BUNDLES_BUCKET: &str = "bundles";

/// Collection of history buckets: written by the sensor manager, read by the application manager.
pub const HISTORY_COLLECTION: &str = "history";

/// Version of the layout of [`HistoryBucket`]. Readers pass over buckets of a newer one, and see nothing of an older one: it has
/// no `slice`, and history is kept for hours only.
pub const HISTORY_LAYOUT: u32 = 2;

/// Length of a slice of history, in milliseconds.
pub const SLICE_MS: i64 = 600_000;

/// Readings of one sensor and one slice of time that were flushed together.
///
/// `_id` is `<slice>/<partition>/<first offset>`, so that a flush that is repeated after a crash overwrites itself. Buckets are
/// looked up by the equality of `slice` alone: what every server answers from its index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryBucket {
    /// See above.
    #[serde(rename = "_id")]
    pub id: String,
    /// [`HISTORY_LAYOUT`] of the writer.
    pub layout: u32,
    /// [`slice()`] of all of its readings; indexed.
    pub slice: String,
    /// Whose readings, as text.
    #[serde(with = "as_text")]
    pub sensor: SensorId,
    /// Time of the first reading, milliseconds since 1970.
    pub from_ms: i64,
    /// Time of the last reading, milliseconds since 1970.
    pub to_ms: i64,
    /// The readings in order, as JSON text: a server reads one text many times faster than a document per reading, and what people
    /// choose as names of properties never meets its rules for names of fields.
    #[serde(with = "as_json")]
    pub readings: Vec<HistoryPoint>,
}

/// Returns in which slice a reading of a sensor lies, by the moment when it was measured.
#[must_use]
pub fn slice(sensor: SensorId, millis: i64) -> String {
    slice_numbered(sensor, millis.div_euclid(SLICE_MS))
}

/// Returns every slice in which a reading between two moments (both included) may lie, the newest first.
pub fn slices(sensor: SensorId, from_millis: i64, to_millis: i64) -> impl Iterator<Item = String> {
    let numbers = from_millis.div_euclid(SLICE_MS)..=to_millis.div_euclid(SLICE_MS);
    numbers.rev().map(move |number| slice_numbered(sensor, number))
}

fn slice_numbered(sensor: SensorId, number: i64) -> String {
    format!("{sensor}/{number}")
}

/// One reading in a bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryPoint {
    /// When it was measured.
    pub time: Timestamp,
    /// Property → value.
    pub values: std::collections::BTreeMap<String, f64>,
}

/// BSON would make bytes of an id; text can be looked up by any program, and on any server by its index.
mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::SensorId;

    pub(super) fn serialize<S: Serializer>(id: &SensorId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SensorId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

mod as_json {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _, ser::Error as _};

    use super::HistoryPoint;

    pub(super) fn serialize<S: Serializer>(readings: &[HistoryPoint], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(readings).map_err(S::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HistoryPoint>, D::Error> {
        serde_json::from_str(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slices_are_ten_minutes_and_come_newest_first() {
        let sensor = SensorId::derive(&["s"]);
        let named = |numbers: &[i64]| {
            numbers
                .iter()
                .map(|number| format!("{sensor}/{number}"))
                .collect::<Vec<_>>()
        };
        for (from, to, expected) in [
            (0, 599_999, named(&[0])),
            (0, 600_000, named(&[1, 0])),
            (-1, 1_200_000, named(&[2, 1, 0, -1])),
            (5, 4, named(&[0])),
            (600_000, 599_999, Vec::new()),
        ] {
            assert_eq!(slices(sensor, from, to).collect::<Vec<_>>(), expected, "{from}..={to}");
        }
    }

    proptest! {
        #[test]
        fn a_bucket_comes_back_as_it_was(values in proptest::collection::vec(proptest::num::f64::NORMAL, 0..20), name in ".{0,10}") {
            let sensor = SensorId::derive(&["s"]);
            let point = |(value, time): (f64, i64)| HistoryPoint {
                time: Timestamp::from_millis(time),
                values: std::collections::BTreeMap::from([(name.clone(), value)]),
            };
            let bucket = HistoryBucket {
                id: "a".to_owned(),
                layout: HISTORY_LAYOUT,
                slice: slice(sensor, 0),
                sensor,
                from_ms: 0,
                to_ms: 20,
                readings: values.into_iter().zip(0..).map(point).collect(),
            };
            let stored = serde_json::to_value(&bucket).unwrap();
            prop_assert!(stored["readings"].is_string());
            prop_assert_eq!(serde_json::from_value::<HistoryBucket>(stored).unwrap(), bucket);
        }

        #[test]
        fn a_reading_lies_in_exactly_one_slice_of_a_time_that_has_it(
            at in -1_000_000_000_000_i64..4_000_000_000_000, before in 0_i64..90_000_000, after in 0_i64..90_000_000
        ) {
            let sensor = SensorId::derive(&["s"]);
            let own = slice(sensor, at);
            prop_assert_eq!(slices(sensor, at - before, at + after).filter(|slice| *slice == own).count(), 1);
            let other = SensorId::derive(&["other"]);
            prop_assert!(slices(other, at - before, at + after).all(|slice| slice != own));
        }
    }
}

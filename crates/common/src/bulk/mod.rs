//! Layouts of the two stores of bulk data that more than one service touches. Versioned like messages: additive changes only.

use serde::{Deserialize, Serialize};

use crate::{SensorId, Timestamp};

/// GridFS bucket of bundles: written by the application manager, read by the deployer. The file name is the SHA-256 in hex.
pub const BUNDLES_BUCKET: &str = "bundles";

/// Collection of history buckets: written by the sensor manager, read by the application manager.
pub const HISTORY_COLLECTION: &str = "history";

/// Readings of one sensor that were flushed together.
///
/// `_id` is `<sensor>/<partition>/<first offset>`, so that a flush that is repeated after a crash overwrites itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryBucket {
    /// See above.
    #[serde(rename = "_id")]
    pub id: String,
    /// Whose readings, as text; indexed together with `from_ms`.
    #[serde(with = "as_text")]
    pub sensor: SensorId,
    /// Time of the first reading, milliseconds since 1970.
    pub from_ms: i64,
    /// Time of the last reading, milliseconds since 1970.
    pub to_ms: i64,
    /// The readings in order.
    pub readings: Vec<HistoryPoint>,
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

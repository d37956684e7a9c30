//! History: the readings of the last hours, in buckets that the application manager reads for charts.
//!
//! A batch becomes one bucket per sensor, written by one insert. A batch that begins where none ended (after a start, or
//! when a partition came from another process) may have been written before with other limits: what is stored from
//! there on is deleted first.

pub mod store;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use common::bulk::{HistoryBucket, HistoryPoint};
use common::messages::reading::SensorData;
use common::{SensorId, Timestamp};
use runtime::kafka::BatchLimits;
use runtime::{BatchHandler, Context, HandleError, Placed};
use tokio_util::sync::CancellationToken;

use store::{HistoryStore, PlacedBucket};

/// How batches are collected: buckets of a few seconds.
pub const LIMITS: BatchLimits = BatchLimits {
    messages: 5000,
    linger: Duration::from_secs(3),
};
/// Between sweeps of what is too old.
const SWEEP: Duration = Duration::from_secs(600);

/// Writes history.
#[derive(Debug)]
pub struct History {
    store: HistoryStore,
    /// Partition → the offset that follows the last batch.
    next: Mutex<BTreeMap<i32, i64>>,
}

/// Starts writing and sweeping.
pub fn start(context: &Context) {
    let store = HistoryStore::new(context.mongo.database());
    context.consume_batches::<SensorData, _>(
        std::sync::Arc::new(History {
            store: store.clone(),
            next: Mutex::default(),
        }),
        LIMITS,
    );
    let hours = context.settings.limits.history_hours;
    context.spawn("history sweep", sweep(store, hours, context.shutdown.clone()));
}

async fn sweep(store: HistoryStore, hours: u64, shutdown: CancellationToken) -> anyhow::Result<()> {
    let kept = i64::try_from(hours.saturating_mul(3_600_000)).unwrap_or(i64::MAX);
    let mut indexed = false;
    loop {
        if !indexed {
            indexed = store.ensure().await.is_ok();
        }
        let before = Timestamp::now().millis().saturating_sub(kept);
        if let Err(error) = store.delete_before(before).await {
            tracing::debug!(%error, "old readings wait to be deleted");
        }
        let pause = if indexed { SWEEP } else { Duration::from_secs(2) };
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[async_trait]
impl BatchHandler<SensorData> for History {
    async fn handle_batch(&self, batch: &[Placed<SensorData>]) -> Result<(), HandleError> {
        let ranges = ranges(batch);
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let again: Vec<(i32, i64)> = ranges
            .iter()
            .filter(|(partition, (first, _))| next.get(partition) != Some(first))
            .map(|(partition, (first, _))| (*partition, *first))
            .collect();
        self.store.delete_from(&again).await?;
        self.store.insert(&buckets(batch)).await?;
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.extend(ranges.into_iter().map(|(partition, (_, last))| (partition, last + 1)));
        Ok(())
    }
}

/// First and last offset by partition.
fn ranges(batch: &[Placed<SensorData>]) -> BTreeMap<i32, (i64, i64)> {
    let mut ranges = BTreeMap::new();
    for placed in batch {
        let range = ranges.entry(placed.partition).or_insert((placed.offset, placed.offset));
        range.0 = range.0.min(placed.offset);
        range.1 = range.1.max(placed.offset);
    }
    ranges
}

/// Makes one bucket per sensor. Pure.
fn buckets(batch: &[Placed<SensorData>]) -> Vec<PlacedBucket> {
    let mut by_sensor: BTreeMap<SensorId, PlacedBucket> = BTreeMap::new();
    for placed in batch {
        let SensorData::Reading(reading) = &placed.envelope.message;
        let time = reading.time.millis();
        let placed = by_sensor.entry(reading.sensor).or_insert_with(|| PlacedBucket {
            partition: placed.partition,
            offset: placed.offset,
            bucket: HistoryBucket {
                id: format!("{}/{}/{}", reading.sensor, placed.partition, placed.offset),
                sensor: reading.sensor,
                from_ms: time,
                to_ms: time,
                readings: Vec::new(),
            },
        });
        placed.bucket.from_ms = placed.bucket.from_ms.min(time);
        placed.bucket.to_ms = placed.bucket.to_ms.max(time);
        placed.bucket.readings.push(HistoryPoint {
            time: reading.time,
            values: reading.values.clone(),
        });
    }
    by_sensor.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::messages::reading::Reading;
    use runtime::memory::envelope;

    fn placed(partition: i32, offset: i64, sensor: &str, millis: i64) -> Placed<SensorData> {
        Placed {
            partition,
            offset,
            envelope: envelope(SensorData::Reading(Reading {
                sensor: SensorId::derive(&[sensor]),
                boot: None,
                seq: None,
                time: Timestamp::from_millis(millis),
                received: Timestamp::from_millis(millis),
                values: BTreeMap::new(),
            })),
        }
    }

    #[test]
    fn a_batch_becomes_one_bucket_per_sensor_named_by_its_first_offset() {
        let batch = [placed(1, 10, "a", 500), placed(2, 3, "b", 7), placed(1, 11, "a", 400)];
        let made = buckets(&batch);
        assert_eq!(made.len(), 2);
        let a = made.iter().find(|placed| placed.partition == 1).unwrap();
        assert_eq!(a.bucket.id, format!("{}/1/10", SensorId::derive(&["a"])));
        assert_eq!(
            (a.bucket.from_ms, a.bucket.to_ms, a.bucket.readings.len()),
            (400, 500, 2)
        );
        assert_eq!(ranges(&batch), BTreeMap::from([(1, (10, 11)), (2, (3, 3))]));
    }
}

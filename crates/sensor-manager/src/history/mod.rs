//! History: the readings of the last hours, in buckets that the application manager reads for charts.
//!
//! A batch becomes one bucket per sensor and slice of time; all are written by one insert, then one document notes how far
//! that goes ([`store::Progress`]). A batch that comes again after a crash begins at the same noted offsets, so its buckets
//! have the same names and replace what was written. Nothing here searches the collection, which is large: old buckets are
//! deleted by the hour, and which hours are left is noted as well.

pub mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use common::Timestamp;
use common::bulk::{HISTORY_LAYOUT, HistoryBucket, HistoryPoint, slice};
use common::messages::reading::SensorData;
use runtime::kafka::BatchLimits;
use runtime::{BatchHandler, Context, Entities, HandleError, Placed};
use tokio_util::sync::CancellationToken;

use crate::delivery::Position;
use store::{HistoryStore, Progress};

/// How batches are collected. Few large buckets: what a chart costs to read grows with their number.
pub const LIMITS: BatchLimits = BatchLimits {
    messages: 5000,
    linger: Duration::from_secs(10),
};
/// Between sweeps of what is too old.
const SWEEP: Duration = Duration::from_secs(600);
/// After a failure.
const RETRY: Duration = Duration::from_secs(5);
const HOUR_MS: i64 = 3_600_000;

/// Writes history.
#[derive(Debug)]
pub struct History {
    store: HistoryStore,
    /// Partition → the offset that follows what is written, as far as this process knows.
    next: Mutex<Position>,
}

/// Starts writing and sweeping.
pub fn start(context: &Context, progress: Entities<Progress>) {
    let store = HistoryStore::new(context.mongo.database(), progress);
    let history = History {
        store: store.clone(),
        next: Mutex::default(),
    };
    context.consume_batches::<SensorData, _>(Arc::new(history), LIMITS);
    let hours = context.settings.limits.history_hours;
    context.spawn("history sweep", sweep(store, hours, context.shutdown.clone()));
}

async fn sweep(store: HistoryStore, hours: u64, shutdown: CancellationToken) -> anyhow::Result<()> {
    let kept = i64::try_from(hours).unwrap_or(i64::MAX / HOUR_MS);
    let mut indexed = false;
    loop {
        if !indexed {
            indexed = store.ensure().await.is_ok();
        }
        let this_hour = hour_of(Timestamp::now().millis());
        let outcome = store.sweep(this_hour, this_hour.saturating_sub(kept)).await;
        if let Err(error) = &outcome {
            tracing::debug!(%error, "old readings wait to be deleted");
        }
        let pause = if indexed && outcome.is_ok() { SWEEP } else { RETRY };
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[async_trait]
impl BatchHandler<SensorData> for History {
    async fn handle_batch(&self, batch: &[Placed<SensorData>]) -> Result<(), HandleError> {
        // Forgotten until all is written: when this batch comes again, another copy may have gone on meanwhile.
        let known = std::mem::take(&mut *self.next.lock().unwrap_or_else(PoisonError::into_inner));
        let written = if continues(&known, batch) {
            known
        } else {
            // After a start, or when a partition came from another process.
            self.store.written().await?
        };
        let fresh: Vec<&Placed<SensorData>> = batch.iter().filter(|placed| !is_written(&written, placed)).collect();
        self.store.write(&buckets(&fresh)).await?;
        let next = self.store.note(&ends(&fresh)).await?;
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

/// Returns the hour since 1970.
fn hour_of(millis: i64) -> i64 {
    millis.div_euclid(HOUR_MS)
}

/// Whether every partition of the batch begins where this process ended.
fn continues(next: &Position, batch: &[Placed<SensorData>]) -> bool {
    let mut next = next.clone();
    batch.iter().all(|placed| {
        let fits = next.get(&placed.partition) == Some(&placed.offset);
        next.insert(placed.partition, placed.offset + 1);
        fits
    })
}

fn is_written(written: &Position, placed: &Placed<SensorData>) -> bool {
    written.get(&placed.partition).is_some_and(|next| placed.offset < *next)
}

/// Partition → the offset that follows.
fn ends(batch: &[&Placed<SensorData>]) -> Position {
    let mut ends = Position::new();
    for placed in batch {
        let end = ends.entry(placed.partition).or_insert(0);
        *end = (*end).max(placed.offset + 1);
    }
    ends
}

/// Makes one bucket per sensor and slice of time.
fn buckets(batch: &[&Placed<SensorData>]) -> Vec<HistoryBucket> {
    let mut by_slice: BTreeMap<String, HistoryBucket> = BTreeMap::new();
    for placed in batch {
        let SensorData::Reading(reading) = &placed.envelope.message;
        let time = reading.time.millis();
        let slice = slice(reading.sensor, time);
        let bucket = by_slice.entry(slice).or_insert_with_key(|slice| HistoryBucket {
            id: format!("{slice}/{}/{}", placed.partition, placed.offset),
            layout: HISTORY_LAYOUT,
            slice: slice.clone(),
            sensor: reading.sensor,
            from_ms: time,
            to_ms: time,
            readings: Vec::new(),
        });
        bucket.from_ms = bucket.from_ms.min(time);
        bucket.to_ms = bucket.to_ms.max(time);
        bucket.readings.push(HistoryPoint {
            time: reading.time,
            values: reading.values.clone(),
        });
    }
    by_slice.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::SensorId;
    use common::bulk::SLICE_MS;
    use common::messages::reading::Reading;
    use proptest::prelude::*;
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
    fn a_batch_becomes_one_bucket_per_sensor_and_slice_named_by_its_first_offset() {
        let batch = [
            placed(1, 10, "a", 500),
            placed(2, 3, "b", 7),
            placed(1, 11, "a", 400),
            placed(1, 12, "a", SLICE_MS),
        ];
        let batch: Vec<_> = batch.iter().collect();
        let made = buckets(&batch);
        let a = SensorId::derive(&["a"]);
        let of_a: Vec<_> = made
            .iter()
            .filter(|bucket| bucket.sensor == a)
            .map(|bucket| (bucket.id.clone(), bucket.from_ms, bucket.to_ms, bucket.readings.len()))
            .collect();
        assert_eq!(
            of_a,
            [
                (format!("{a}/0/1/10"), 400, 500, 2),
                (format!("{a}/1/1/12"), SLICE_MS, SLICE_MS, 1)
            ]
        );
        assert_eq!(made.len(), 3);
        assert_eq!(ends(&batch), Position::from([(1, 13), (2, 4)]));
    }

    proptest! {
        /// A crash after the insert and before the note: the same readings come again in batches of other lengths.
        #[test]
        fn a_batch_that_comes_again_in_other_parts_leaves_each_reading_once(
            times in proptest::collection::vec((0_usize..3, -SLICE_MS..3 * SLICE_MS), 1..40), first in 1_usize..40, second in 1_usize..40
        ) {
            let names = ["a", "b", "c"];
            let batch: Vec<_> = times
                .iter()
                .zip(0_i64..)
                .map(|((sensor, time), offset)| placed(1, offset, names[*sensor], *time))
                .collect();
            let mut stored: BTreeMap<String, HistoryBucket> = BTreeMap::new();
            let mut write = |part: &[Placed<SensorData>]| {
                let part: Vec<_> = part.iter().collect();
                stored.extend(buckets(&part).into_iter().map(|bucket| (bucket.id.clone(), bucket)));
            };
            write(&batch[..first.min(batch.len())]);
            batch.chunks(second).for_each(write);
            let mut kept: Vec<(SensorId, i64)> = Vec::new();
            for bucket in stored.values() {
                for point in &bucket.readings {
                    prop_assert_eq!(&slice(bucket.sensor, point.time.millis()), &bucket.slice);
                    kept.push((bucket.sensor, point.time.millis()));
                }
            }
            let mut sent: Vec<_> = times.iter().map(|(sensor, time)| (SensorId::derive(&[names[*sensor]]), *time)).collect();
            kept.sort_unstable();
            sent.sort_unstable();
            prop_assert_eq!(kept, sent);
        }
    }

    #[test]
    fn what_was_noted_is_not_written_again() {
        let batch = [placed(1, 10, "a", 0), placed(1, 11, "a", 0), placed(2, 5, "a", 0)];
        let here = Position::from([(1, 10), (2, 5)]);
        assert!(continues(&here, &batch));
        assert!(!continues(&Position::from([(1, 10)]), &batch));
        assert!(!continues(&Position::from([(1, 11), (2, 5)]), &batch));
        let written = Position::from([(1, 11)]);
        let left: Vec<i64> = batch
            .iter()
            .filter(|placed| !is_written(&written, placed))
            .map(|p| p.offset)
            .collect();
        assert_eq!(left, [11, 5]);
    }
}

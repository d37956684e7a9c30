//! `sensor.data` as delivery reads it. Two implementations: Kafka, and memory for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use common::messages::reading::{Reading, SensorData};
use common::{Timestamp, Topic};
use runtime::kafka::Tail;
use runtime::{Context, TailFrom, TailItem};

use super::Position;

/// A reading with its place, shared by the connections that it goes to.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedReading {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// The reading.
    pub reading: Reading,
}

/// What a reader comes upon.
#[derive(Debug, Clone, PartialEq)]
pub enum LogItem {
    /// A reading.
    Reading(Arc<PlacedReading>),
    /// A record that is none.
    Other {
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
    },
    /// All that was there when the reader began has been read. Comes once.
    CaughtUp,
}

/// Reads some partitions upwards.
#[async_trait]
pub trait LogReader: Send + Sync {
    /// Where it began: later than asked where records are gone.
    fn start(&self) -> &Position;
    /// Up to where there were records when it began.
    fn ends(&self) -> &Position;
    /// Returns what comes next. Cancel safe.
    async fn next(&mut self) -> anyhow::Result<LogItem>;
}

/// The log of readings.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Reads these partitions from there on.
    async fn read(&self, from: Position) -> anyhow::Result<Box<dyn LogReader>>;
    /// Returns the ends of all partitions.
    async fn ends(&self) -> anyhow::Result<Position>;
    /// Returns where the readings begin that were received at that time or later.
    async fn at_time(&self, time: Timestamp) -> anyhow::Result<Position>;
}

/// The log in Kafka.
#[derive(Debug, Clone)]
pub struct KafkaLog(pub Context);

#[async_trait]
impl Log for KafkaLog {
    async fn read(&self, from: Position) -> anyhow::Result<Box<dyn LogReader>> {
        Ok(Box::new(KafkaReader(self.0.tail(TailFrom::Only(from)).await?)))
    }

    async fn ends(&self) -> anyhow::Result<Position> {
        Ok(self.0.end_offsets(Topic::SensorData).await?)
    }

    async fn at_time(&self, time: Timestamp) -> anyhow::Result<Position> {
        Ok(self.0.offsets_for_time(Topic::SensorData, time).await?)
    }
}

/// A tail as a reader.
#[derive(Debug)]
pub struct KafkaReader(pub Tail<SensorData>);

#[async_trait]
impl LogReader for KafkaReader {
    fn start(&self) -> &BTreeMap<i32, i64> {
        self.0.start()
    }

    fn ends(&self) -> &BTreeMap<i32, i64> {
        self.0.ends()
    }

    async fn next(&mut self) -> anyhow::Result<LogItem> {
        Ok(match self.0.next().await? {
            TailItem::Message(placed) => {
                let SensorData::Reading(reading) = placed.envelope.message;
                LogItem::Reading(Arc::new(PlacedReading {
                    partition: placed.partition,
                    offset: placed.offset,
                    reading,
                }))
            }
            TailItem::Tombstone { partition, offset, .. } | TailItem::Skipped { partition, offset } => {
                LogItem::Other { partition, offset }
            }
            TailItem::CaughtUp => LogItem::CaughtUp,
        })
    }
}

//! Reading without a group: connection work, and caches built from compacted topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Message, Timestamp, Topic};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{ClientContext, Statistics};

use super::KafkaConfig;
use super::consumer::{LOOK, assignment, record_of};
use super::vitals::Pulse;
use crate::bus::{BusError, Placed, TailFrom, TailItem};

/// How long to wait for the broker's word on offsets.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a tail tells of itself.
struct Telling {
    pulse: Option<Pulse>,
}

impl ClientContext for Telling {
    fn stats(&self, statistics: Statistics) {
        if let Some(pulse) = &self.pulse {
            pulse.take(&statistics, Instant::now());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if !is_of_coordinator(reason) {
            super::tell("tail", &error, reason);
        }
    }

    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        if !is_of_coordinator(message) {
            DefaultClientContext.log(level, fac, message);
        }
    }
}

/// librdkafka greets a coordinator of groups also for who is in none, and calls it an error when that one leaves meanwhile.
fn is_of_coordinator(said: &str) -> bool {
    said.contains("GroupCoordinator:")
}

impl ConsumerContext for Telling {}

/// Reads all partitions of a topic without a group.
pub struct Tail<M> {
    consumer: Option<StreamConsumer<Telling>>,
    /// Partitions whose end at the beginning has not been reached.
    behind: BTreeSet<i32>,
    caught_up: bool,
    start: BTreeMap<i32, i64>,
    ends: BTreeMap<i32, i64>,
    kind: std::marker::PhantomData<fn() -> M>,
}

impl<M> std::fmt::Debug for Tail<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail")
            .field("start", &self.start)
            .field("behind", &self.behind)
            .finish_non_exhaustive()
    }
}

/// Opens a tail. Blocks a worker thread while it asks the broker.
///
/// # Errors
/// When the broker does not answer.
pub async fn tail<M: Message>(config: Arc<KafkaConfig>, from: TailFrom) -> Result<Tail<M>, BusError> {
    tokio::task::spawn_blocking(move || open(&config, &from))
        .await
        .map_err(|error| BusError::Read(error.to_string()))?
}

/// Returns the offset after the newest record of each partition.
///
/// # Errors
/// When the broker does not answer.
pub async fn end_offsets(config: Arc<KafkaConfig>, topic: Topic) -> Result<BTreeMap<i32, i64>, BusError> {
    tokio::task::spawn_blocking(move || {
        let consumer = short(&config)?;
        let marks = watermarks(&consumer, &config.topic(topic.name()))?;
        Ok(marks
            .into_iter()
            .map(|(partition, (_, high))| (partition, high))
            .collect())
    })
    .await
    .map_err(|error| BusError::Read(error.to_string()))?
}

/// Returns the offset of the first record of that time or later, by partition; the end where there is none.
///
/// # Errors
/// When the broker does not answer.
pub async fn offsets_for_time(
    config: Arc<KafkaConfig>,
    topic: Topic,
    time: Timestamp,
) -> Result<BTreeMap<i32, i64>, BusError> {
    tokio::task::spawn_blocking(move || {
        let consumer = short(&config)?;
        let name = config.topic(topic.name());
        let marks = watermarks(&consumer, &name)?;
        let asked = marks.keys().map(|partition| (*partition, time.millis())).collect();
        let list = assignment(&name, &asked).map_err(|error| BusError::Read(error.to_string()))?;
        let found = consumer.offsets_for_times(list, TIMEOUT).map_err(read_error)?;
        let offsets = marks.into_iter().map(|(partition, (low, high))| {
            let offset = match found.find_partition(&name, partition).map(|element| element.offset()) {
                Some(rdkafka::Offset::Offset(offset)) => offset.clamp(low, high),
                _ => high,
            };
            (partition, offset)
        });
        Ok(offsets.collect())
    })
    .await
    .map_err(|error| BusError::Read(error.to_string()))?
}

fn tail_config(config: &KafkaConfig) -> rdkafka::ClientConfig {
    let mut client = config.reader("tail");
    // librdkafka wants a group name even where no group is joined.
    client
        .set("group.id", format!("{}.{}.tail", config.name, config.service))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true");
    client
}

/// Makes a client for a question or two.
fn short(config: &KafkaConfig) -> Result<StreamConsumer<Telling>, BusError> {
    tail_config(config)
        .create_with_context(Telling { pulse: None })
        .map_err(read_error)
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn read_error(error: KafkaError) -> BusError {
    BusError::Read(error.to_string())
}

fn watermarks<C: ConsumerContext>(
    consumer: &StreamConsumer<C>,
    topic: &str,
) -> Result<BTreeMap<i32, (i64, i64)>, BusError> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).map_err(read_error)?;
    let partitions = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions())
        .map(|partition| partition.id());
    let mut marks = BTreeMap::new();
    for partition in partitions {
        marks.insert(
            partition,
            consumer
                .fetch_watermarks(topic, partition, TIMEOUT)
                .map_err(read_error)?,
        );
    }
    if marks.is_empty() {
        return Err(BusError::Read(format!("topic {topic} does not exist yet")));
    }
    Ok(marks)
}

fn open<M: Message>(config: &KafkaConfig, from: &TailFrom) -> Result<Tail<M>, BusError> {
    let topic = config.topic(M::TOPIC.name());
    let pulse = config.vitals.enter(format!("tail of {}", M::TOPIC.name()));
    let consumer: StreamConsumer<Telling> = tail_config(config)
        .create_with_context(Telling { pulse: Some(pulse) })
        .map_err(read_error)?;
    let marks = watermarks(&consumer, &topic)?;
    let mut start = BTreeMap::new();
    let mut ends = BTreeMap::new();
    let mut behind = BTreeSet::new();
    for (partition, (low, high)) in &marks {
        let offset = match from {
            TailFrom::Beginning => *low,
            TailFrom::End => *high,
            TailFrom::Offsets(offsets) => offsets.get(partition).copied().unwrap_or(*high),
            TailFrom::Only(offsets) => match offsets.get(partition) {
                Some(offset) => (*offset).clamp(*low, *high),
                None => continue,
            },
        };
        start.insert(*partition, offset);
        ends.insert(*partition, *high);
        if offset < *high {
            behind.insert(*partition);
        }
    }
    let list = assignment(&topic, &start).map_err(|error| BusError::Read(error.to_string()))?;
    consumer.assign(&list).map_err(read_error)?;
    Ok(Tail {
        consumer: Some(consumer),
        behind,
        caught_up: false,
        start,
        ends,
        kind: std::marker::PhantomData,
    })
}

impl<M: Message> Tail<M> {
    /// Returns the offsets at which it began, by partition.
    #[must_use]
    pub fn start(&self) -> &BTreeMap<i32, i64> {
        &self.start
    }

    /// Returns the offsets up to which there were records when it began, by partition.
    #[must_use]
    pub fn ends(&self) -> &BTreeMap<i32, i64> {
        &self.ends
    }

    /// Returns what comes next. Errors that pass by themselves (the broker is away) are waited out. Cancel safe.
    ///
    /// # Errors
    /// When librdkafka fails for good.
    pub async fn next(&mut self) -> Result<TailItem<M>, BusError> {
        loop {
            if !self.caught_up && self.behind.is_empty() {
                self.caught_up = true;
                return Ok(TailItem::CaughtUp);
            }
            let Some(consumer) = &self.consumer else {
                return Err(BusError::Read("the tail is closed".to_owned()));
            };
            let Ok(received) = tokio::time::timeout(LOOK, consumer.recv()).await else {
                continue;
            };
            match received {
                Ok(message) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    let record = record_of(M::TOPIC.name(), &message);
                    return Ok(match record.decode::<M>() {
                        Ok(Some(envelope)) => TailItem::Message(Placed {
                            partition,
                            offset,
                            envelope,
                        }),
                        Ok(None) => TailItem::Tombstone {
                            key: record.key,
                            partition,
                            offset,
                        },
                        Err(error) => {
                            metrics::counter!("bus_messages_skipped_total", "topic" => M::TOPIC.name()).increment(1);
                            tracing::debug!(topic = M::TOPIC.name(), partition, offset, %error, "a tail skipped a record");
                            TailItem::Skipped { partition, offset }
                        }
                    });
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    self.behind.remove(&partition);
                }
                Err(KafkaError::MessageConsumptionFatal(code)) => return Err(BusError::Read(code.to_string())),
                Err(error) => {
                    tracing::debug!(topic = M::TOPIC.name(), %error, "kafka reports a passing error to a tail")
                }
            }
        }
    }
}

impl<M> Drop for Tail<M> {
    fn drop(&mut self) {
        // Dropping a consumer blocks until its threads have ended.
        if let (Some(consumer), Ok(handle)) = (self.consumer.take(), tokio::runtime::Handle::try_current()) {
            drop(handle.spawn_blocking(move || drop(consumer)));
        }
    }
}

//! Owned reading: a consumer group per service and topic, acknowledged after the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::Message;
use rdkafka::TopicPartitionList;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use tokio_util::sync::CancellationToken;

use super::reader::{Lost, Place, Reader};
use super::{KafkaConfig, KafkaPublisher};
use crate::bus::{BatchHandler, Handler, Placed, Record};

/// The wake-up for a message can be missed (rust-rdkafka#665), so a reader that waits looks by itself now and then.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// How a batch is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Messages at most.
    pub messages: usize,
    /// Time from the first message until the batch is handled.
    pub linger: Duration,
}

/// Whether a consumer has its partitions.
#[derive(Debug, Default)]
pub struct ConsumerStatus {
    pub(super) assigned: AtomicBool,
    /// How often partitions were taken away.
    pub(super) revoked: AtomicU64,
}

impl ConsumerStatus {
    /// Whether it has its partitions.
    #[must_use]
    pub fn assigned(&self) -> bool {
        self.assigned.load(Ordering::Relaxed)
    }

    fn revoked(&self) -> u64 {
        self.revoked.load(Ordering::Relaxed)
    }
}

/// Reads a topic in this service's group and hands each message to the handler, in order, until `shutdown`.
///
/// # Errors
/// When the consumer is fenced again and again, or librdkafka fails for good: the process should end.
pub async fn consume<M: Message, H: Handler<M>>(
    config: Arc<KafkaConfig>,
    publisher: Arc<KafkaPublisher>,
    status: Arc<ConsumerStatus>,
    handler: Arc<H>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut place = Place::new(config, publisher, status);
    loop {
        let reader = place.take::<M>()?;
        let outcome = read(&reader, &*handler, &shutdown).await;
        if place.ends(reader, outcome).await? {
            return Ok(());
        }
    }
}

/// Reads until `shutdown`.
async fn read<M: Message, H: Handler<M>>(
    reader: &Reader<M>,
    handler: &H,
    shutdown: &CancellationToken,
) -> Result<(), Lost> {
    loop {
        let message = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK) => continue,
            message = reader.consumer.recv() => message,
        };
        let Some(message) = reader.fresh(message)? else {
            continue;
        };
        let (partition, offset) = (message.partition(), message.offset());
        let placed = reader.decode(&message).await;
        // A message that outlives its consumer keeps it from closing.
        drop(message);
        if let Some(placed) = placed {
            let work = || async { handler.handle(&placed.envelope).await };
            if !reader.until_done(&placed, work, shutdown).await {
                return Ok(());
            }
        }
        reader.store(partition, offset);
    }
}

/// Reads a topic in this service's group and hands batches to the handler until `shutdown`.
///
/// # Errors
/// As [`consume`].
pub async fn consume_batches<M: Message, H: BatchHandler<M>>(
    config: Arc<KafkaConfig>,
    publisher: Arc<KafkaPublisher>,
    status: Arc<ConsumerStatus>,
    handler: Arc<H>,
    limits: BatchLimits,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut place = Place::new(config, publisher, status);
    loop {
        let reader = place.take::<M>()?;
        let outcome = read_batches(&reader, &*handler, limits, &shutdown).await;
        if place.ends(reader, outcome).await? {
            return Ok(());
        }
    }
}

/// Reads batches until `shutdown`.
async fn read_batches<M: Message, H: BatchHandler<M>>(
    reader: &Reader<M>,
    handler: &H,
    limits: BatchLimits,
    shutdown: &CancellationToken,
) -> Result<(), Lost> {
    loop {
        let mut batch: Vec<Placed<M>> = Vec::new();
        let mut ends = std::collections::BTreeMap::new();
        let mut deadline = None;
        let mut revoked = reader.status.revoked();
        while batch.len() < limits.messages {
            let wait = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => tokio::time::sleep(LOOK).await,
                }
            };
            let message = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = wait => {
                    if deadline.is_some() {
                        break;
                    }
                    continue;
                }
                message = reader.consumer.recv() => message,
            };
            if reader.status.revoked() != revoked {
                // What was collected comes again from the committed offsets, here or at another copy. This message is the first of what
                // was assigned since.
                revoked = reader.status.revoked();
                batch.clear();
                ends.clear();
                deadline = None;
            }
            let Some(message) = reader.fresh(message)? else {
                continue;
            };
            deadline.get_or_insert_with(|| tokio::time::Instant::now() + limits.linger);
            ends.insert(message.partition(), message.offset());
            batch.extend(reader.decode(&message).await);
        }
        if reader.status.revoked() != revoked {
            // Taken away after the last message, and nothing has come since.
            continue;
        }
        if let Some(first) = batch.first() {
            let work = || async { handler.handle_batch(&batch).await };
            if !reader.until_done(first, work, shutdown).await {
                return Ok(());
            }
        }
        for (partition, offset) in ends {
            reader.store(partition, offset);
        }
    }
}

/// Copies a message out of librdkafka. Bytes that are no UTF-8 become replacement characters: they fail to decode and are kept readable in the dead-letter topic.
pub(super) fn record_of(topic: &str, message: &BorrowedMessage<'_>) -> Record {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(text).unwrap_or_default()))
            .collect()
    });
    Record {
        topic: topic.to_owned(),
        key: message.key().map(text).unwrap_or_default(),
        payload: message.payload().map(text),
        headers,
    }
}

/// Builds an assignment of whole partitions at definite offsets.
pub(super) fn assignment(
    topic: &str,
    offsets: &std::collections::BTreeMap<i32, i64>,
) -> anyhow::Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, rdkafka::Offset::Offset(*offset))?;
    }
    Ok(list)
}

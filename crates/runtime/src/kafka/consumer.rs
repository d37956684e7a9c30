//! Owned reading: a consumer group per service and topic, acknowledged after the work.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Envelope, Message, Timestamp};
use futures_util::FutureExt;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::{ClientContext, Statistics, TopicPartitionList};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::vitals::Pulse;
use super::{KafkaConfig, KafkaPublisher};
use crate::bus::{BatchHandler, DecodeError, HandleError, Handler, Placed, Record};

/// A handler that takes longer has lost a dependency; the message is tried again.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time between two polls of a consumer that keeps its partitions, in milliseconds; longer than a handler may take.
const MAX_POLL_MS: &str = "60000";
/// How long a consumer that ends waits until it has left its group, and how it looks whether it has.
const LEAVING: Duration = Duration::from_secs(2);
const LEAVING_STEP: Duration = Duration::from_millis(50);
/// First and longest wait between tries.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

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
    assigned: AtomicBool,
    /// How often partitions were taken away.
    revoked: AtomicU64,
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

struct Context {
    status: Arc<ConsumerStatus>,
    pulse: Pulse,
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        self.pulse.take(&statistics, Instant::now());
    }

    fn error(&self, error: KafkaError, reason: &str) {
        super::tell("consumer", &error, reason);
    }
}

impl ConsumerContext for Context {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(_) => self.status.assigned.store(true, Ordering::Relaxed),
            Rebalance::Revoke(_) => {
                self.status.assigned.store(false, Ordering::Relaxed);
                self.status.revoked.fetch_add(1, Ordering::Relaxed);
            }
            Rebalance::Error(error) => tracing::warn!(%error, "rebalance failed"),
        }
    }
}

/// Reads a topic in this service's group and hands each message to the handler, in order, until `shutdown`.
///
/// # Errors
/// When the consumer is fenced or librdkafka fails for good: the process should end.
pub async fn consume<M: Message, H: Handler<M>>(
    config: Arc<KafkaConfig>,
    publisher: Arc<KafkaPublisher>,
    status: Arc<ConsumerStatus>,
    handler: Arc<H>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let reader = Reader::<M>::open(&config, publisher, status)?;
    loop {
        let message = tokio::select! {
            () = shutdown.cancelled() => return reader.close().await,
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
            if !reader.until_done(&placed, work, &shutdown).await {
                return reader.close().await;
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
    let reader = Reader::<M>::open(&config, publisher, status)?;
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
                () = shutdown.cancelled() => return reader.close().await,
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
            if !reader.until_done(first, work, &shutdown).await {
                return reader.close().await;
            }
        }
        for (partition, offset) in ends {
            reader.store(partition, offset);
        }
    }
}

struct Reader<M> {
    consumer: StreamConsumer<Context>,
    publisher: Arc<KafkaPublisher>,
    status: Arc<ConsumerStatus>,
    topic: String,
    kind: std::marker::PhantomData<fn() -> M>,
}

impl<M: Message> Reader<M> {
    fn open(config: &KafkaConfig, publisher: Arc<KafkaPublisher>, status: Arc<ConsumerStatus>) -> anyhow::Result<Self> {
        let topic = config.topic(M::TOPIC.name());
        let consumer: StreamConsumer<Context> = config
            .reader("group")
            .set(
                "group.id",
                format!("{}.{}.{}", config.name, config.service, M::TOPIC.name()),
            )
            .set("group.instance.id", format!("{}@{}", config.service, config.host))
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            .set("session.timeout.ms", config.session_timeout_ms())
            .set("heartbeat.interval.ms", "1000")
            // A handler that waits for a dependency does not poll. After this long, and the session's time, its partitions go to another copy,
            // which may have what this one lacks; and no rebalance waits longer. The message is handled again, there or here.
            .set("max.poll.interval.ms", MAX_POLL_MS)
            .create_with_context(Context {
                status: status.clone(),
                pulse: config.vitals.enter(format!("consumer of {}", M::TOPIC.name())),
            })?;
        consumer.subscribe(&[&topic])?;
        Ok(Self {
            consumer,
            publisher,
            status,
            topic,
            kind: std::marker::PhantomData,
        })
    }

    /// Sorts errors: `Ok(None)` passes by itself, `Err` does not.
    fn fresh<'a>(
        &self,
        message: Result<BorrowedMessage<'a>, KafkaError>,
    ) -> anyhow::Result<Option<BorrowedMessage<'a>>> {
        match message {
            Ok(message) => Ok(Some(message)),
            Err(KafkaError::MessageConsumptionFatal(code)) => {
                anyhow::bail!("the consumer of {} can not go on: {code}", self.topic)
            }
            Err(error) => {
                tracing::debug!(topic = self.topic, %error, "kafka reports a passing error");
                Ok(None)
            }
        }
    }

    async fn decode(&self, message: &BorrowedMessage<'_>) -> Option<Placed<M>> {
        let record = record_of(M::TOPIC.name(), message);
        match record.decode::<M>() {
            Ok(envelope) => envelope.map(|envelope| Placed {
                partition: message.partition(),
                offset: message.offset(),
                envelope,
            }),
            Err(DecodeError::UnknownVariant(error)) if M::TOPIC.skips_unknown() => {
                metrics::counter!("bus_messages_skipped_total", "topic" => M::TOPIC.name()).increment(1);
                tracing::debug!(topic = self.topic, error, "skipped a message of a newer writer");
                None
            }
            Err(error) => {
                self.bury(record, message.partition(), message.offset(), &error.to_string())
                    .await;
                None
            }
        }
    }

    /// Tries until the work is done or its message is dead; `false` when the service is shut down first.
    async fn until_done<F, W>(&self, placed: &Placed<M>, work: F, shutdown: &CancellationToken) -> bool
    where
        F: Fn() -> W,
        W: Future<Output = Result<(), HandleError>>,
    {
        let span =
            tracing::info_span!("message", topic = M::TOPIC.name(), offset = placed.offset, id = %placed.envelope.id);
        let mut backoff = BACKOFF.0;
        loop {
            let started = Instant::now();
            let attempt = AssertUnwindSafe(work().instrument(span.clone())).catch_unwind();
            let outcome = tokio::time::timeout(HANDLER_TIMEOUT, attempt).await;
            metrics::histogram!("bus_handle_seconds", "topic" => M::TOPIC.name())
                .record(started.elapsed().as_secs_f64());
            let error = match outcome {
                Ok(Ok(Ok(()))) => return true,
                Ok(Ok(Err(HandleError::Reject(reason)))) => {
                    self.bury(rebuild(&placed.envelope), placed.partition, placed.offset, &reason)
                        .await;
                    return true;
                }
                Ok(Err(_)) => {
                    self.bury(
                        rebuild(&placed.envelope),
                        placed.partition,
                        placed.offset,
                        "the handler panicked",
                    )
                    .await;
                    return true;
                }
                Ok(Ok(Err(HandleError::Retry(error)))) => format!("{error:#}"),
                Err(_) => "the handler took too long".to_owned(),
            };
            tracing::warn!(
                topic = M::TOPIC.name(),
                offset = placed.offset,
                error,
                retry_ms = backoff.as_millis(),
                "message waits"
            );
            tokio::select! {
                () = shutdown.cancelled() => return false,
                () = tokio::time::sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    /// Moves a record to the dead-letter topic; tries until Kafka has it, because what follows depends on it.
    async fn bury(&self, mut record: Record, partition: i32, offset: i64, reason: &str) {
        tracing::error!(topic = self.topic, partition, offset, reason, "message is dead");
        metrics::counter!("bus_dead_letters_total", "topic" => M::TOPIC.name()).increment(1);
        crate::health::count_dead_letter();
        for (key, value) in [
            ("dead_reason", reason.to_owned()),
            ("dead_partition", partition.to_string()),
            ("dead_offset", offset.to_string()),
            ("dead_time", Timestamp::now().to_string()),
        ] {
            record.headers.push((key.to_owned(), value));
        }
        while let Err(error) = self.publisher.bury(&record).await {
            tracing::warn!(topic = self.topic, %error, "dead letter waits");
            tokio::time::sleep(BACKOFF.0).await;
        }
    }

    fn store(&self, partition: i32, offset: i64) {
        // The partition may just have been revoked: its next owner handles the message again.
        if let Err(error) = self.consumer.store_offset(&self.topic, partition, offset) {
            tracing::debug!(topic = self.topic, partition, offset, %error, "offset was not stored");
        }
    }

    async fn close(self) -> anyhow::Result<()> {
        if let Err(error) = self.consumer.commit_consumer_state(rdkafka::consumer::CommitMode::Sync) {
            tracing::debug!(topic = self.topic, %error, "nothing was committed at the end");
        }
        // A static member that is only dropped keeps its partitions until its session is over; one that unsubscribes gives them to the
        // other copies at once.
        self.consumer.unsubscribe();
        let left = async {
            while self.status.assigned() {
                tokio::time::timeout(LEAVING_STEP, self.consumer.recv()).await.ok();
            }
            // Once more: the word to the coordinator goes out after the partitions are given up.
            tokio::time::timeout(2 * LEAVING_STEP, self.consumer.recv()).await.ok();
        };
        if tokio::time::timeout(LEAVING, left).await.is_err() {
            tracing::debug!(topic = self.topic, "left without an answer");
        }
        tokio::task::spawn_blocking(move || drop(self.consumer)).await?;
        Ok(())
    }
}

fn rebuild<M: Message>(envelope: &Envelope<M>) -> Record {
    Record::of(envelope).unwrap_or_else(|_| Record::tombstone(M::TOPIC, envelope.message.key()))
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

//! One consumer of a group: its settings, and what becomes of a message.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Envelope, Message, Timestamp};
use futures_util::FutureExt;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{ClientContext, Statistics};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::consumer::{ConsumerStatus, record_of};
use super::vitals::Pulse;
use super::{KafkaConfig, KafkaPublisher};
use crate::bus::{DecodeError, HandleError, Placed, Record};

/// A handler that takes longer has lost a dependency; the message is tried again.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time between two polls of a consumer that keeps its partitions, in milliseconds; longer than a handler may take.
const MAX_POLL_MS: &str = "60000";
/// How long a consumer that ends waits until it has left its group, and how it looks whether it has.
const LEAVING: Duration = Duration::from_secs(2);
const LEAVING_STEP: Duration = Duration::from_millis(50);
/// First and longest wait between tries.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A consumer that is fenced more often than [`FENCES`] in this time has a twin that lives.
const TWIN: Duration = Duration::from_secs(60);
const FENCES: usize = 3;

/// What librdkafka tells of it.
pub(super) struct Context {
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

/// A consumer that can not go on.
#[derive(Debug, thiserror::Error)]
#[error("the consumer of {topic} can not go on: {code}")]
pub(super) struct Lost {
    topic: String,
    code: RDKafkaErrorCode,
}

impl Lost {
    /// Whether another consumer has its place in the group.
    fn is_fenced(&self) -> bool {
        self.code == RDKafkaErrorCode::FencedInstanceId
    }
}

/// How often a consumer lost its place in the group.
///
/// A member that was silent for a while joins anew, and what it had on its way, as who it was before, is refused: it is fenced by itself. Then another
/// consumer takes its place. Where a second process has the same name, both do that to each other, and this one ends.
#[derive(Debug, Default)]
struct Fences(Vec<Instant>);

impl Fences {
    /// Whether another consumer shall take the place of one that is lost.
    fn begins_anew(&mut self, lost: &Lost, now: Instant) -> bool {
        self.0.retain(|fence| now.saturating_duration_since(*fence) < TWIN);
        self.0.push(now);
        lost.is_fenced() && self.0.len() <= FENCES
    }
}

/// A place in a group, which one consumer after the other may have.
pub(super) struct Place {
    config: Arc<KafkaConfig>,
    publisher: Arc<KafkaPublisher>,
    status: Arc<ConsumerStatus>,
    fences: Fences,
}

impl Place {
    pub(super) fn new(config: Arc<KafkaConfig>, publisher: Arc<KafkaPublisher>, status: Arc<ConsumerStatus>) -> Self {
        Self {
            config,
            publisher,
            status,
            fences: Fences::default(),
        }
    }

    /// The next consumer.
    pub(super) fn take<M: Message>(&self) -> anyhow::Result<Reader<M>> {
        Reader::open(&self.config, self.publisher.clone(), self.status.clone())
    }

    /// Ends a consumer by its outcome; tells whether it was the last one.
    pub(super) async fn ends<M: Message>(
        &mut self,
        reader: Reader<M>,
        outcome: Result<(), Lost>,
    ) -> anyhow::Result<bool> {
        match outcome {
            Ok(()) => reader.close().await.map(|()| true),
            Err(lost) if self.fences.begins_anew(&lost, Instant::now()) => {
                tracing::warn!(%lost, "another one takes its place");
                reader.abandon().await.map(|()| false)
            }
            Err(lost) => Err(lost.into()),
        }
    }
}

/// A consumer that has joined, or will.
pub(super) struct Reader<M> {
    pub(super) consumer: StreamConsumer<Context>,
    publisher: Arc<KafkaPublisher>,
    pub(super) status: Arc<ConsumerStatus>,
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
    pub(super) fn fresh<'a>(
        &self,
        message: Result<BorrowedMessage<'a>, KafkaError>,
    ) -> Result<Option<BorrowedMessage<'a>>, Lost> {
        match message {
            Ok(message) => Ok(Some(message)),
            Err(KafkaError::MessageConsumptionFatal(code)) => Err(Lost {
                topic: self.topic.clone(),
                code,
            }),
            Err(error) => {
                tracing::debug!(topic = self.topic, %error, "kafka reports a passing error");
                Ok(None)
            }
        }
    }

    pub(super) async fn decode(&self, message: &BorrowedMessage<'_>) -> Option<Placed<M>> {
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
    pub(super) async fn until_done<F, W>(&self, placed: &Placed<M>, work: F, shutdown: &CancellationToken) -> bool
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

    pub(super) fn store(&self, partition: i32, offset: i64) {
        // The partition may just have been revoked: its next owner handles the message again.
        if let Err(error) = self.consumer.store_offset(&self.topic, partition, offset) {
            tracing::debug!(topic = self.topic, partition, offset, %error, "offset was not stored");
        }
    }

    /// Ends one that has lost its place; nothing of it is told to the group.
    async fn abandon(self) -> anyhow::Result<()> {
        self.status.assigned.store(false, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || drop(self.consumer)).await?;
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_fenced_now_and_then_begins_anew_and_who_has_a_twin_ends() {
        let lost = |code| Lost {
            topic: "t".to_owned(),
            code,
        };
        let (fenced, start) = (lost(RDKafkaErrorCode::FencedInstanceId), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut fences = Fences::default();
        for second in [0, 30, 59, 90, 120] {
            assert!(fences.begins_anew(&fenced, at(second)), "at {second} s");
        }
        let again: Vec<bool> = (121..125)
            .map(|second| fences.begins_anew(&fenced, at(second)))
            .collect();
        assert_eq!(again, [true, false, false, false]);
        let other = lost(RDKafkaErrorCode::Fatal);
        assert!(!Fences::default().begins_anew(&other, start));
    }
}

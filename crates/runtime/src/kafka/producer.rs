//! Publishing: idempotent, acknowledged by all replicas, in order per key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientContext, Statistics};

use super::vitals::Pulse;
use super::{Brokers, KafkaConfig};
use crate::bus::{BusError, Delivery, Publisher, Record};

struct Context {
    pulse: Pulse,
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        self.pulse.take(&statistics, Instant::now());
    }

    fn error(&self, error: KafkaError, reason: &str) {
        super::tell("producer", &error, reason);
    }
}

/// Why Kafka did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silence {
    /// A broker is connected, and did not answer in time.
    #[error("kafka is late: {0}")]
    Late(KafkaError),
    /// None could be reached.
    #[error("no broker is reached: {0}")]
    Nobody(KafkaError),
}

/// Publishes on Kafka.
pub struct KafkaPublisher {
    producer: FutureProducer<Context>,
    config: Arc<KafkaConfig>,
}

impl std::fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaPublisher")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl KafkaPublisher {
    /// Makes a producer; connecting happens in the background and never gives up.
    ///
    /// # Errors
    /// When librdkafka does not take the configuration.
    pub fn new(config: Arc<KafkaConfig>) -> anyhow::Result<Self> {
        let producer = config
            .client("producer")
            .set("statistics.interval.ms", super::vitals::INTERVAL_MS)
            .set("enable.idempotence", "true")
            .set("delivery.timeout.ms", "30000")
            .set("queue.buffering.max.messages", "50000")
            .set("queue.buffering.max.kbytes", "65536")
            .set("linger.ms", "2")
            .set("compression.type", "lz4")
            .set("partitioner", "murmur2_random")
            .create_with_context(Context {
                pulse: config.vitals.enter("producer".to_owned()),
            })?;
        Ok(Self { producer, config })
    }

    /// Asks the cluster for its metadata; blocks at most `timeout`.
    ///
    /// # Errors
    /// When no broker answers.
    pub(crate) fn ping(&self, timeout: Duration) -> Result<(), Silence> {
        self.producer
            .client()
            .fetch_metadata(
                Some(&self.config.topic(common::Topic::ServiceHeartbeats.name())),
                timeout,
            )
            .map(|_| ())
            .map_err(|error| match error {
                // Where nobody is connected it says that instead.
                KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut) => Silence::Late(error),
                _ => Silence::Nobody(error),
            })
    }

    /// Looks at the brokers and at the heartbeats' partitions; blocks at most `timeout`.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn brokers(&self, timeout: Duration) -> Result<Brokers, BusError> {
        let topic = self.config.topic(common::Topic::ServiceHeartbeats.name());
        let metadata = self.producer.client().fetch_metadata(Some(&topic), timeout);
        let metadata = metadata.map_err(|error| BusError::Read(error.to_string()))?;
        let partitions = || metadata.topics().iter().flat_map(|topic| topic.partitions());
        Ok(Brokers {
            answering: metadata.brokers().len(),
            without_leader: partitions().filter(|partition| partition.leader() < 0).count(),
            lacking_copies: partitions()
                .filter(|partition| partition.isr().len() < partition.replicas().len())
                .count(),
        })
    }

    /// Why this producer will never send anything again, where that is so: it can not keep the order that it has promised.
    #[must_use]
    pub fn fatal(&self) -> Option<String> {
        self.producer.client().fatal_error().map(|(_, reason)| reason)
    }

    /// Waits until everything in flight is delivered, at most `timeout`; blocks.
    pub fn flush(&self, timeout: Duration) {
        if let Err(error) = self.producer.flush(timeout) {
            tracing::warn!(%error, "not everything was delivered before the end");
        }
    }

    fn enqueue_on(&self, topic: &str, record: &Record) -> Result<Delivery, BusError> {
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(value),
                })
            });
        let mut message = FutureRecord::<str, str>::to(topic).key(&record.key).headers(headers);
        if let Some(payload) = &record.payload {
            message = message.payload(payload);
        }
        match self.producer.send_result(message) {
            Ok(delivery) => Ok(Box::pin(async move {
                match delivery.await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err((error, _))) => Err(BusError::NotConfirmed(error.to_string())),
                    Err(_) => Err(BusError::NotConfirmed("the producer was closed".to_owned())),
                }
            })),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Err(BusError::QueueFull),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => Err(BusError::TooLarge),
            Err((error, _)) => Err(BusError::NotConfirmed(error.to_string())),
        }
    }

    /// Puts a record that can not be handled on the dead-letter topic of its topic.
    ///
    /// # Errors
    /// When Kafka does not confirm.
    pub async fn bury(&self, record: &Record) -> Result<(), BusError> {
        let topic = self.config.dead_topic(&record.topic);
        loop {
            match self.enqueue_on(&topic, record) {
                Err(BusError::QueueFull) => self.room().await,
                Ok(delivery) => return delivery.await,
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Publisher for KafkaPublisher {
    fn enqueue(&self, record: &Record) -> Result<Delivery, BusError> {
        self.enqueue_on(&self.config.topic(&record.topic), record)
    }

    async fn room(&self) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

//! The bus as services see it: records, publishers, handlers. No Kafka here.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use common::topic::Retention;
use common::{Envelope, Message, MessageId, Timestamp, Topic, envelope};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// A message as bytes, ready to be published; also what an outbox holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Topic without the installation's prefix.
    pub topic: String,
    /// Key.
    pub key: String,
    /// JSON; none is a tombstone.
    pub payload: Option<String>,
    /// CloudEvents attributes and others, in order.
    pub headers: Vec<(String, String)>,
}

impl Record {
    /// Whether its topic keeps the newest record of each key, for ever.
    #[must_use]
    pub fn is_compacted(&self) -> bool {
        Topic::from_name(&self.topic).is_some_and(|topic| topic.facts().retention == Retention::Compacted)
    }

    /// Returns the tombstone of this record's key.
    #[must_use]
    pub fn end_of_key(&self) -> Self {
        Self {
            topic: self.topic.clone(),
            key: self.key.clone(),
            payload: None,
            headers: Vec::new(),
        }
    }

    /// Encodes an envelope.
    ///
    /// # Errors
    /// When the message can not be serialized (a map with keys that are no strings).
    pub fn of<M: Message>(envelope: &Envelope<M>) -> Result<Self, BusError> {
        let value = serde_json::to_value(&envelope.message).map_err(|error| BusError::Encode(error.to_string()))?;
        let mut headers = vec![
            ("ce_specversion".to_owned(), "1.0".to_owned()),
            ("ce_id".to_owned(), envelope.id.to_string()),
            ("ce_source".to_owned(), envelope.source.clone()),
            (
                "ce_type".to_owned(),
                format!("{}.{}", M::TOPIC.name(), envelope::type_of(&value)),
            ),
            ("ce_time".to_owned(), envelope.time.to_string()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        if let Some(cause) = envelope.cause {
            headers.push(("ce_cause".to_owned(), cause.to_string()));
        }
        if let Some(traceparent) = &envelope.traceparent {
            headers.push(("traceparent".to_owned(), traceparent.clone()));
        }
        Ok(Self {
            topic: M::TOPIC.name().to_owned(),
            key: envelope.message.key(),
            payload: Some(value.to_string()),
            headers,
        })
    }

    /// Makes the record that ends a key on a compacted topic.
    #[must_use]
    pub fn tombstone(topic: Topic, key: String) -> Self {
        Self {
            topic: topic.name().to_owned(),
            key,
            payload: None,
            headers: Vec::new(),
        }
    }

    /// Returns the value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Decodes the record; `None` is a tombstone.
    ///
    /// # Errors
    /// When it is no message of the topic.
    pub fn decode<M: Message>(&self) -> Result<Option<Envelope<M>>, DecodeError> {
        let Some(payload) = &self.payload else { return Ok(None) };
        let message = serde_json::from_str(payload).map_err(|error| {
            let text = error.to_string();
            if text.starts_with("unknown variant") {
                DecodeError::UnknownVariant(text)
            } else {
                DecodeError::Invalid(text)
            }
        })?;
        let id = self
            .header("ce_id")
            .and_then(|id| id.parse().ok())
            .unwrap_or_else(|| MessageId::derive(&[&self.topic, &self.key, payload]));
        Ok(Some(Envelope {
            id,
            source: self.header("ce_source").unwrap_or("unknown").to_owned(),
            time: self
                .header("ce_time")
                .and_then(|time| time.parse().ok())
                .unwrap_or(Timestamp::from_millis(0)),
            cause: self.header("ce_cause").and_then(|cause| cause.parse().ok()),
            traceparent: self.header("traceparent").map(ToOwned::to_owned),
            message,
        }))
    }
}

/// Why a record is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A newer writer said something this reader does not know.
    #[error("{0}")]
    UnknownVariant(String),
    /// It is broken.
    #[error("{0}")]
    Invalid(String),
}

/// Why the bus did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BusError {
    /// The message can not be encoded.
    #[error("could not encode a message: {0}")]
    Encode(String),
    /// Too much is in flight; try again when something was delivered.
    #[error("the producer's queue is full")]
    QueueFull,
    /// The record is larger than the broker takes.
    #[error("the record is too large")]
    TooLarge,
    /// Kafka did not confirm in time: whether it has the record is unknown.
    #[error("kafka did not confirm: {0}")]
    NotConfirmed(String),
    /// Reading failed.
    #[error("could not read from kafka: {0}")]
    Read(String),
}

/// Resolves when Kafka has the record.
pub type Delivery = BoxFuture<'static, Result<(), BusError>>;

/// Puts records on the bus.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Hands a record over; the future resolves when it is durable.
    ///
    /// # Errors
    /// [`BusError::QueueFull`] is worth another try.
    fn enqueue(&self, record: &Record) -> Result<Delivery, BusError>;

    /// Waits until something may fit into the queue again.
    async fn room(&self);
}

/// Publishes typed messages.
#[derive(Clone)]
pub struct Bus {
    publisher: Arc<dyn Publisher>,
    source: Arc<str>,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Bus {
    /// Wraps a publisher; `source` becomes `ce_source`.
    #[must_use]
    pub fn new(publisher: Arc<dyn Publisher>, source: &str) -> Self {
        Self {
            publisher,
            source: source.into(),
        }
    }

    /// Returns the source, for envelopes.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Publishes a message that begins something and waits until it is durable.
    ///
    /// # Errors
    /// When Kafka does not confirm.
    pub async fn publish_first<M: Message>(&self, id: MessageId, message: M) -> Result<(), BusError> {
        self.publish(&Envelope::first(id, &self.source, Timestamp::now(), message))
            .await
    }

    /// Publishes a message and waits until it is durable.
    ///
    /// # Errors
    /// When Kafka does not confirm.
    pub async fn publish<M: Message>(&self, envelope: &Envelope<M>) -> Result<(), BusError> {
        self.send(std::slice::from_ref(&Record::of(envelope)?)).await
    }

    /// Publishes records in order and waits until all are durable.
    ///
    /// # Errors
    /// When Kafka does not confirm one of them.
    pub async fn send(&self, records: &[Record]) -> Result<(), BusError> {
        let mut deliveries = Vec::with_capacity(records.len());
        for record in records {
            deliveries.push(self.enqueue(record).await?);
        }
        for delivery in deliveries {
            delivery.await?;
        }
        Ok(())
    }

    /// Hands a record over, waiting while the queue is full; the returned future resolves when it is durable.
    ///
    /// # Errors
    /// When the record can not be taken at all.
    pub async fn enqueue(&self, record: &Record) -> Result<Delivery, BusError> {
        loop {
            match self.publisher.enqueue(record) {
                Err(BusError::QueueFull) => self.publisher.room().await,
                other => return other,
            }
        }
    }

    /// Makes the record of the `ordinal`-th message that follows from `cause`; for outboxes.
    ///
    /// # Errors
    /// When the message can not be encoded.
    pub fn follow<C, M: Message>(
        &self,
        cause: &Envelope<C>,
        ordinal: usize,
        now: Timestamp,
        message: M,
    ) -> Result<Record, BusError> {
        Record::of(&Envelope::follow(cause, &self.source, ordinal, now, message))
    }
}

/// A message with its place on the topic.
#[derive(Debug, Clone)]
pub struct Placed<M> {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// The message.
    pub envelope: Envelope<M>,
}

/// Why a handler did not handle a message.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// A dependency is down: the message waits, nothing overtakes it.
    #[error("{0:#}")]
    Retry(anyhow::Error),
    /// The message can never work: it goes to the dead-letter topic.
    #[error("{0}")]
    Reject(String),
}

impl From<BusError> for HandleError {
    fn from(error: BusError) -> Self {
        match error {
            BusError::Encode(_) | BusError::TooLarge => Self::Reject(error.to_string()),
            _ => Self::Retry(error.into()),
        }
    }
}

impl From<crate::StoreError> for HandleError {
    fn from(error: crate::StoreError) -> Self {
        match error {
            crate::StoreError::Corrupt { .. } => Self::Reject(error.to_string()),
            _ => Self::Retry(error.into()),
        }
    }
}

impl From<anyhow::Error> for HandleError {
    fn from(error: anyhow::Error) -> Self {
        Self::Retry(error)
    }
}

/// Handles the messages of one topic, one after the other. It may see each message twice, and returns within seconds.
#[async_trait]
pub trait Handler<M: Message>: Send + Sync + 'static {
    /// Handles one message.
    async fn handle(&self, envelope: &Envelope<M>) -> Result<(), HandleError>;
}

/// Handles the messages of one topic in batches: all or again.
#[async_trait]
pub trait BatchHandler<M: Message>: Send + Sync + 'static {
    /// Handles a batch, oldest first.
    async fn handle_batch(&self, batch: &[Placed<M>]) -> Result<(), HandleError>;
}

/// Where a tail begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailFrom {
    /// With the oldest record.
    Beginning,
    /// With what comes next.
    End,
    /// At these offsets by partition; partitions that are not named begin at the end.
    Offsets(BTreeMap<i32, i64>),
    /// At these offsets, and only these partitions; where an offset is gone, with the nearest that is there.
    Only(BTreeMap<i32, i64>),
}

/// What a tail reads.
#[derive(Debug, Clone)]
pub enum TailItem<M> {
    /// A message.
    Message(Placed<M>),
    /// The end of a key.
    Tombstone {
        /// The key.
        key: String,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
    },
    /// A record this reader does not understand; counted.
    Skipped {
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
    },
    /// Everything that was there when the tail began has been read. Comes once.
    CaughtUp,
}

impl<M> TailItem<M> {
    /// Returns the partition and offset that it stands at.
    #[must_use]
    pub fn place(&self) -> Option<(i32, i64)> {
        match self {
            Self::Message(placed) => Some((placed.partition, placed.offset)),
            Self::Tombstone { partition, offset, .. } | Self::Skipped { partition, offset } => {
                Some((*partition, *offset))
            }
            Self::CaughtUp => None,
        }
    }
}

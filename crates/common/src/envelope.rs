//! A message with what CloudEvents 1.0 (binary mode) carries beside it.

use serde::{Serialize, de::DeserializeOwned};

use crate::{MessageId, Timestamp, Topic};

/// What travels on one topic: a tagged enum.
pub trait Message: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The topic.
    const TOPIC: Topic;
    /// The entity whose order matters.
    fn key(&self) -> String;
}

/// A message and its context attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope<M> {
    /// `ce_id`; derived from the cause, so that a handler that runs again says the same.
    pub id: MessageId,
    /// `ce_source`: the service.
    pub source: String,
    /// `ce_time`.
    pub time: Timestamp,
    /// `ce_cause`: the message that this one follows from.
    pub cause: Option<MessageId>,
    /// W3C trace context, passed on from the HTTP request.
    pub traceparent: Option<String>,
    /// The message.
    pub message: M,
}

impl<M: Message> Envelope<M> {
    /// Wraps a message that begins something (a request of a user, a due moment).
    #[must_use]
    pub fn first(id: MessageId, source: &str, time: Timestamp, message: M) -> Self {
        Self {
            id,
            source: source.to_owned(),
            time,
            cause: None,
            traceparent: None,
            message,
        }
    }

    /// Wraps the `ordinal`-th message that follows from another.
    #[must_use]
    pub fn follow<C>(cause: &Envelope<C>, source: &str, ordinal: usize, time: Timestamp, message: M) -> Self {
        Self {
            id: MessageId::derive(&[
                source,
                &cause.id.to_string(),
                M::TOPIC.name(),
                &message.key(),
                &ordinal.to_string(),
            ]),
            source: source.to_owned(),
            time,
            cause: Some(cause.id),
            traceparent: cause.traceparent.clone(),
            message,
        }
    }
}

/// Returns the `type` of a tagged message, for `ce_type`.
#[must_use]
pub fn type_of(payload: &serde_json::Value) -> &str {
    payload
        .get("type")
        .and_then(serde_json::Value::as_str)
        .unwrap_or("unknown")
}

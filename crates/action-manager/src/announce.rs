//! The records that a change publishes. Ids are derived from the action and its version.

use common::messages::action::{ActionEvent, Command, DeviceCommand, Notification};
use common::{ActionId, Envelope, Message, MessageId, Timestamp, Topic};
use runtime::{BusError, Record};

/// What a change follows from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The message, when it was one.
    pub message: Option<MessageId>,
    /// Its trace.
    pub traceparent: Option<String>,
}

impl<M: Message> From<&Envelope<M>> for Cause {
    fn from(envelope: &Envelope<M>) -> Self {
        Self {
            message: Some(envelope.id),
            traceparent: envelope.traceparent.clone(),
        }
    }
}

/// Says things in the name of this service at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Announcer<'a> {
    /// `ce_source`.
    pub source: &'a str,
    /// What they follow from.
    pub cause: &'a Cause,
    /// When.
    pub now: Timestamp,
}

impl Announcer<'_> {
    fn record<M: Message>(&self, id: ActionId, version: u64, message: M) -> Result<Record, BusError> {
        Record::of(&Envelope {
            id: MessageId::derive(&[self.source, M::TOPIC.name(), &id.to_string(), &version.to_string()]),
            source: self.source.to_owned(),
            time: self.now,
            cause: self.cause.message,
            traceparent: self.cause.traceparent.clone(),
            message,
        })
    }

    /// Returns the event of a notification.
    ///
    /// # Errors
    /// When it can not be encoded.
    pub fn notification(&self, notification: &Notification) -> Result<Record, BusError> {
        let event = ActionEvent::Notification {
            notification: Box::new(notification.clone()),
        };
        self.record(notification.id, notification.version, event)
    }

    /// Returns the event of a command and what is said to the device's connector.
    ///
    /// # Errors
    /// When one can not be encoded.
    pub fn command(&self, command: &Command, to_device: Option<DeviceCommand>) -> Result<Vec<Record>, BusError> {
        let event = ActionEvent::Command {
            command: Box::new(command.clone()),
        };
        let mut records = vec![self.record(command.id, command.version, event)?];
        if let Some(message) = to_device {
            records.push(self.record(command.id, command.version, message)?);
        }
        Ok(records)
    }
}

/// Returns the record that ends an action on the compacted topic.
#[must_use]
pub fn forgotten(id: ActionId) -> Record {
    Record::tombstone(Topic::ActionEvents, id.to_string())
}

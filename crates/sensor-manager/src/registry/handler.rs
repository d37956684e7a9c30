//! `registry.commands`: decide, save, tell.

use async_trait::async_trait;
use common::messages::operation::{OperationEvent, Requester};
use common::messages::registry::{Entry, EntryId, RegistryCommand, RegistryEvent};
use common::{Envelope, Message, Timestamp, Topic};
use runtime::bus::Record;
use runtime::{ApplyError, Bus, BusError, Change, HandleError, Handler};

use super::decide::{self, Refused};
use super::store::{Registered, Registry};

/// Carries out the commands.
#[derive(Debug)]
pub struct RegistryHandler {
    /// The registry.
    pub registry: Registry,
    /// Tells what happened.
    pub bus: Bus,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Encode(#[from] BusError),
}

#[async_trait]
impl Handler<RegistryCommand> for RegistryHandler {
    async fn handle(&self, envelope: &Envelope<RegistryCommand>) -> Result<(), HandleError> {
        let now = Timestamp::now();
        let (outcome, by) = match &envelope.message {
            RegistryCommand::Put { entry, expected, by } => (self.put(envelope, entry, *expected, by, now).await?, by),
            RegistryCommand::Delete { id, by } => (self.delete(envelope, id, by, now).await?, by),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(ApplyError::Refused(Stop::Refused(refused))) => {
                // The same id as `Done` would have: of a repeat after a success, readers keep the first answer.
                let answer = OperationEvent::Refused {
                    id: by.operation,
                    reason: refused.reason,
                    detail: refused.detail,
                };
                let answer = Envelope::follow(envelope, self.bus.source(), 0, now, answer);
                Ok(self.bus.publish(&answer).await?)
            }
            Err(ApplyError::Refused(Stop::Encode(error))) => Err(error.into()),
            Err(ApplyError::Store(error)) => Err(error.into()),
        }
    }
}

type Outcome = Result<(), ApplyError<Stop>>;

impl RegistryHandler {
    async fn put(
        &self,
        envelope: &Envelope<RegistryCommand>,
        entry: &Entry,
        expected: Option<u64>,
        by: &Requester,
        now: Timestamp,
    ) -> Result<Outcome, HandleError> {
        let around = self.registry.surroundings(entry).await?;
        let id = entry.id().to_string();
        let applied = self.registry.entries.apply(&id, Some(envelope.id), |current, version| {
            let current = current.map(|registered| &registered.0);
            let entry = decide::put(current, entry.clone(), expected, &around, version)?;
            let event = RegistryEvent::Changed { entry: entry.clone() };
            Ok::<_, Stop>(Change::Put {
                entity: Registered(entry),
                records: vec![
                    self.bus.follow(envelope, 1, now, event)?,
                    self.done(envelope, by, Some(version), now)?,
                ],
            })
        });
        Ok(applied.await.map(drop))
    }

    async fn delete(
        &self,
        envelope: &Envelope<RegistryCommand>,
        id: &EntryId,
        by: &Requester,
        now: Timestamp,
    ) -> Result<Outcome, HandleError> {
        let users = self.registry.users_of(id).await?;
        let key = id.to_string();
        let applied = self.registry.entries.apply(&key, Some(envelope.id), |current, _| {
            decide::delete(current.map(|registered| &registered.0), &users)?;
            let event = RegistryEvent::Deleted { id: id.clone() };
            Ok::<_, Stop>(Change::Delete {
                records: vec![
                    self.bus.follow(envelope, 1, now, event.clone())?,
                    Record::tombstone(Topic::RegistryEvents, event.key()),
                    self.done(envelope, by, None, now)?,
                ],
            })
        });
        Ok(applied.await.map(drop))
    }

    fn done(
        &self,
        envelope: &Envelope<RegistryCommand>,
        by: &Requester,
        version: Option<u64>,
        now: Timestamp,
    ) -> Result<Record, BusError> {
        let event = OperationEvent::Done {
            id: by.operation,
            version,
        };
        self.bus.follow(envelope, 0, now, event)
    }
}

#[cfg(test)]
#[path = "handler_tests.rs"]
mod tests;

//! `schedule.commands`.

use std::sync::Arc;

use async_trait::async_trait;
use common::messages::operation::OperationEvent;
use common::messages::schedule::ScheduleCommand;
use common::{Envelope, Timestamp};
use runtime::{Applied, ApplyError, Bus, BusError, Change, Entities, HandleError, Handler, Record};

use crate::announce::{self, Cause};
use crate::book::Book;
use crate::command::{self, Outcome, Refused};
use crate::store::Tracked;
use crate::ticker;

/// Carries commands out and answers them.
#[derive(Debug)]
pub struct ScheduleCommands {
    schedules: Entities<Tracked>,
    bus: Bus,
    book: Arc<Book>,
}

enum Stop {
    Refused(Refused),
    Bus(BusError),
}

impl ScheduleCommands {
    /// Works on the schedules of a store.
    #[must_use]
    pub fn new(schedules: Entities<Tracked>, bus: Bus, book: Arc<Book>) -> Self {
        Self { schedules, bus, book }
    }

    fn change(
        &self,
        envelope: &Envelope<ScheduleCommand>,
        current: Option<&Tracked>,
        version: u64,
        now: Timestamp,
    ) -> Result<Change<Tracked>, Stop> {
        let (id, by) = command::addressed(&envelope.message);
        let outcome = command::decide(current, &envelope.message, now).map_err(Stop::Refused)?;
        let (source, cause) = (self.bus.source(), Cause::from(envelope));
        let done = OperationEvent::Done {
            id: by.operation,
            version: Some(version),
        };
        let answer = self.bus.follow(envelope, 0, now, done).map_err(Stop::Bus)?;
        let with_answer = |mut records: Vec<Record>| {
            records.push(answer);
            records
        };
        Ok(match outcome {
            Outcome::Same => Change::Keep,
            Outcome::Delete => Change::Delete {
                records: with_answer(announce::deleted(source, id, version, &cause, now).map_err(Stop::Bus)?),
            },
            Outcome::Put(mut settled) => {
                let records = announce::records(source, &mut settled, version, &cause, now).map_err(Stop::Bus)?;
                ticker::count(&settled.decision, now);
                Change::Put {
                    entity: settled.tracked,
                    records: with_answer(records),
                }
            }
        })
    }

    async fn answer(&self, envelope: &Envelope<ScheduleCommand>, answer: OperationEvent) -> Result<(), HandleError> {
        let record = self.bus.follow(envelope, 0, Timestamp::now(), answer)?;
        Ok(self.bus.send(&[record]).await?)
    }
}

#[async_trait]
impl Handler<ScheduleCommand> for ScheduleCommands {
    async fn handle(&self, envelope: &Envelope<ScheduleCommand>) -> Result<(), HandleError> {
        let (id, by) = command::addressed(&envelope.message);
        let now = Timestamp::now();
        let applied = self
            .schedules
            .apply(&id.to_string(), Some(envelope.id), |current, version| {
                self.change(envelope, current, version, now)
            })
            .await;
        match applied {
            Ok(Applied::Changed(stored)) => self.book.note(id, stored.entity.wake),
            Ok(Applied::Deleted) => self.book.note(id, None),
            Ok(Applied::Duplicate(stored)) => self.book.note(id, stored.and_then(|stored| stored.entity.wake)),
            Ok(Applied::Kept(stored)) => {
                let version = stored.map(|stored| stored.version);
                self.answer(
                    envelope,
                    OperationEvent::Done {
                        id: by.operation,
                        version,
                    },
                )
                .await?;
            }
            Err(ApplyError::Refused(Stop::Refused(Refused { reason, detail }))) => {
                tracing::info!(schedule = %id, detail, "refused a command");
                let refused = OperationEvent::Refused {
                    id: by.operation,
                    reason,
                    detail,
                };
                self.answer(envelope, refused).await?;
            }
            Err(ApplyError::Refused(Stop::Bus(error))) => return Err(error.into()),
            Err(ApplyError::Store(error)) => return Err(error.into()),
        }
        Ok(())
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(refused) => f.write_str(&refused.detail),
            Self::Bus(error) => error.fmt(f),
        }
    }
}

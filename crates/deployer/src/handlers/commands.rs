//! `instance.commands` → instances that are wanted, or no longer.

use std::sync::Arc;

use async_trait::async_trait;
use common::messages::instance::{InstanceCommand, InstanceSpec};
use common::messages::operation::{OperationEvent, Refusal, Requester};
use common::{Envelope, InstanceId, Timestamp};
use runtime::{Bus, BusError, Change, Entities, HandleError, Handler, Record};
use tokio::sync::Notify;

use super::{changed, not_applied};
use crate::instance::{self, Stopping};
use crate::records::InstanceRecord;

type Command = Envelope<InstanceCommand>;

/// Records starts and stops.
#[derive(Debug)]
pub(crate) struct Commands {
    pub(crate) instances: Entities<InstanceRecord>,
    pub(crate) bus: Bus,
    pub(crate) wake: Arc<Notify>,
}

#[async_trait]
impl Handler<InstanceCommand> for Commands {
    async fn handle(&self, envelope: &Command) -> Result<(), HandleError> {
        match &envelope.message {
            InstanceCommand::Start { id, spec } => self.start(envelope, *id, spec).await?,
            InstanceCommand::Stop { id, why, by } => self.stop(envelope, *id, why, by.as_ref()).await?,
        }
        self.wake.notify_one();
        Ok(())
    }
}

impl Commands {
    async fn start(&self, envelope: &Command, id: InstanceId, spec: &InstanceSpec) -> Result<(), HandleError> {
        let now = Timestamp::now();
        let decide = |current: Option<&InstanceRecord>, version| {
            let Some(mut record) = instance::start(current, id, spec, now) else {
                return Ok(Change::Keep);
            };
            let records = self.told(envelope, &mut record, version, now)?;
            Ok(Change::Put {
                entity: record,
                records,
            })
        };
        self.instances
            .apply(&id.to_string(), Some(envelope.id), decide)
            .await
            .map_err(not_applied)?;
        Ok(())
    }

    /// A start and its stop have the same key, so a stop that finds nothing came for something that never was.
    async fn stop(
        &self,
        envelope: &Command,
        id: InstanceId,
        why: &str,
        by: Option<&Requester>,
    ) -> Result<(), HandleError> {
        let now = Timestamp::now();
        let mut refused = false;
        let decide = |current: Option<&InstanceRecord>, version| {
            let answer = |version| {
                done(by, version)
                    .map(|done| self.bus.follow(envelope, 1, now, done))
                    .transpose()
            };
            refused = false;
            Ok(match (instance::stop(current, why, now), current) {
                (Stopping::Change(mut record), _) => {
                    let mut records = self.told(envelope, &mut record, version, now)?;
                    records.extend(answer(version)?);
                    Change::Put {
                        entity: *record,
                        records,
                    }
                }
                (Stopping::Already, Some(current)) => Change::Put {
                    entity: current.clone(),
                    records: answer(version - 1)?.into_iter().collect(),
                },
                _ => {
                    refused = true;
                    Change::Keep
                }
            })
        };
        self.instances
            .apply(&id.to_string(), Some(envelope.id), decide)
            .await
            .map_err(not_applied)?;
        if let (true, Some(by)) = (refused, by) {
            let refusal = OperationEvent::Refused {
                id: by.operation,
                reason: Refusal::NotFound,
                detail: "there is no such instance".to_owned(),
            };
            self.bus.send(&[self.bus.follow(envelope, 1, now, refusal)?]).await?;
        }
        Ok(())
    }

    fn told(
        &self,
        envelope: &Command,
        record: &mut InstanceRecord,
        version: u64,
        now: Timestamp,
    ) -> Result<Vec<Record>, BusError> {
        let event = record.instance.as_mut().map(|instance| changed(instance, version));
        event
            .map(|event| self.bus.follow(envelope, 0, now, event))
            .into_iter()
            .collect()
    }
}

fn done(by: Option<&Requester>, version: u64) -> Option<OperationEvent> {
    by.map(|by| OperationEvent::Done {
        id: by.operation,
        version: Some(version),
    })
}

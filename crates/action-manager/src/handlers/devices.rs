//! `device.events`: what devices and their connectors say of commands.

use async_trait::async_trait;
use common::messages::action::DeviceEvent;
use common::{Envelope, Timestamp};
use runtime::{Applied, ApplyError, Bus, BusError, Change, Entities, HandleError, Handler};

use crate::announce::{Announcer, Cause};
use crate::command;
use crate::store::Asked;

/// Brings commands forward.
#[derive(Debug)]
pub struct DeviceEvents {
    commands: Entities<Asked>,
    bus: Bus,
}

impl DeviceEvents {
    /// Works on the commands of a store.
    #[must_use]
    pub fn new(commands: Entities<Asked>, bus: Bus) -> Self {
        Self { commands, bus }
    }
}

#[async_trait]
impl Handler<DeviceEvent> for DeviceEvents {
    async fn handle(&self, envelope: &Envelope<DeviceEvent>) -> Result<(), HandleError> {
        let (DeviceEvent::Sent { command: id, .. }
        | DeviceEvent::Acknowledged { command: id, .. }
        | DeviceEvent::Failed { command: id, .. }) = &envelope.message;
        let cause = Cause::from(envelope);
        let announcer = Announcer {
            source: self.bus.source(),
            cause: &cause,
            now: Timestamp::now(),
        };
        let applied = self
            .commands
            .apply(&id.to_string(), Some(envelope.id), |current, version| {
                // The command of a report is written before the device can know of it: one that is not there is forgotten.
                let Some(mut next) = current.and_then(|asked| command::after_report(&asked.command, &envelope.message))
                else {
                    return Ok(Change::Keep);
                };
                next.version = version;
                let records = announcer.command(&next, command::to_device(&next))?;
                Ok::<_, BusError>(Change::Put {
                    entity: Asked { command: next },
                    records,
                })
            })
            .await;
        match applied {
            Ok(Applied::Changed(stored)) => {
                metrics::counter!("action_commands_total", "state" => command::name(&stored.entity.command.state))
                    .increment(1);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(ApplyError::Refused(error)) => Err(error.into()),
            Err(ApplyError::Store(error)) => Err(error.into()),
        }
    }
}

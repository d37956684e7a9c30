//! `instance.commands` and `instance.events`: who wants a binding, and whose is over.

use async_trait::async_trait;
use common::messages::binding::{Binding, BindingEvent, BindingState};
use common::messages::instance::{InstanceCommand, InstanceEvent, InstanceSpec};
use common::{Envelope, InstanceId, Message, Timestamp, Topic};
use runtime::bus::Record;
use runtime::{Applied, ApplyError, Bus, BusError, Change, Entities, HandleError, Handler};
use tokio::sync::broadcast;

use super::decision::{self, Wanted};
use super::store::BindingRecord;
use crate::delivery::carry::Lineage;
use crate::delivery::hub::Hub;
use crate::delivery::store::Sessions;
use crate::registry::Directory;

/// Follows instances.
#[derive(Debug, Clone)]
pub struct Bindings {
    /// The bindings.
    pub bindings: Entities<BindingRecord>,
    /// Leases and checkpoints, forgotten with the instance.
    pub sessions: Sessions,
    /// The registry.
    pub directory: Directory,
    /// Knows where `sensor.data` ends.
    pub hub: Hub,
    /// Tells what happened.
    pub bus: Bus,
    /// Wakes connections of this process.
    pub changes: broadcast::Sender<InstanceId>,
}

fn failed(error: ApplyError<BusError>) -> HandleError {
    match error {
        ApplyError::Refused(error) => error.into(),
        ApplyError::Store(error) => error.into(),
    }
}

#[async_trait]
impl Handler<InstanceCommand> for Bindings {
    async fn handle(&self, envelope: &Envelope<InstanceCommand>) -> Result<(), HandleError> {
        match &envelope.message {
            InstanceCommand::Start { id, spec } => self.start(envelope, *id, spec).await,
            // The deployer stops it; its final state releases the binding.
            InstanceCommand::Stop { .. } => Ok(()),
        }
    }
}

#[async_trait]
impl Handler<InstanceEvent> for Bindings {
    async fn handle(&self, envelope: &Envelope<InstanceEvent>) -> Result<(), HandleError> {
        match &envelope.message {
            InstanceEvent::Changed { instance } if instance.state.is_final() => {
                self.release(envelope, instance.id).await
            }
            InstanceEvent::Changed { .. } => Ok(()),
            InstanceEvent::Deleted { id } => self.forget(envelope, *id).await,
        }
    }
}

impl Bindings {
    async fn start(
        &self,
        envelope: &Envelope<InstanceCommand>,
        instance: InstanceId,
        spec: &InstanceSpec,
    ) -> Result<(), HandleError> {
        let wanted = Wanted {
            slots: spec.version.manifest.slots.clone(),
            location: spec.location,
            location_path: spec.location_path.clone(),
        };
        let place = self.directory.place(wanted.location);
        let start = self.hub.ends();
        if start.is_empty() {
            return Err(HandleError::Retry(anyhow::anyhow!("sensor.data is not read yet")));
        }
        let now = Timestamp::now();
        let decide = |current: Option<&BindingRecord>, version: u64| {
            if current.is_some() {
                return Ok(Change::Keep);
            }
            let binding = Binding {
                instance,
                state: decision::first(&wanted, place.as_ref()),
                version,
            };
            let record = BindingRecord {
                binding: binding.clone(),
                wanted: Some(wanted.clone()),
                start: start.clone(),
                lineage: Lineage::of(spec),
            };
            let binding = Box::new(binding);
            let event = self.bus.follow(envelope, 0, now, BindingEvent::Changed { binding })?;
            Ok(Change::Put {
                entity: record,
                records: vec![event],
            })
        };
        let applied = self
            .bindings
            .apply(&instance.to_string(), Some(envelope.id), decide)
            .await;
        self.wake(instance, &applied.map_err(failed)?);
        Ok(())
    }

    async fn release(&self, envelope: &Envelope<InstanceEvent>, instance: InstanceId) -> Result<(), HandleError> {
        let now = Timestamp::now();
        let decide = |current: Option<&BindingRecord>, version: u64| {
            if current.is_some_and(|record| matches!(record.binding.state, BindingState::Released)) {
                return Ok(Change::Keep);
            }
            let binding = Binding {
                instance,
                state: BindingState::Released,
                version,
            };
            let record = BindingRecord {
                binding: binding.clone(),
                wanted: current.and_then(|record| record.wanted.clone()),
                start: current.map(|record| record.start.clone()).unwrap_or_default(),
                lineage: current.and_then(|record| record.lineage),
            };
            let binding = Box::new(binding);
            let event = self.bus.follow(envelope, 0, now, BindingEvent::Changed { binding })?;
            Ok(Change::Put {
                entity: record,
                records: vec![event],
            })
        };
        let applied = self
            .bindings
            .apply(&instance.to_string(), Some(envelope.id), decide)
            .await;
        self.wake(instance, &applied.map_err(failed)?);
        Ok(())
    }

    async fn forget(&self, envelope: &Envelope<InstanceEvent>, instance: InstanceId) -> Result<(), HandleError> {
        let key = envelope.message.key();
        let decide = |_: Option<&BindingRecord>, _| {
            Ok(Change::Delete {
                records: vec![Record::tombstone(Topic::BindingEvents, key.clone())],
            })
        };
        let applied = self.bindings.apply(&instance.to_string(), None, decide).await;
        self.wake(instance, &applied.map_err(failed)?);
        self.sessions.forget(instance).await?;
        Ok(())
    }

    fn wake(&self, instance: InstanceId, applied: &Applied<BindingRecord>) {
        if matches!(applied, Applied::Changed(_) | Applied::Deleted) {
            // Nobody may be connected.
            drop(self.changes.send(instance));
        }
    }

    /// Lets every binding follow its place.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reconcile(&self) -> Result<(), HandleError> {
        for stored in self.bindings.list(&[("open", "true")]).await? {
            let Some(wanted) = &stored.entity.wanted else { continue };
            let place = self.directory.place(wanted.location);
            if decision::follow(&stored.entity.binding.state, wanted, place.as_ref()).is_none() {
                continue;
            }
            let now = Timestamp::now();
            let decide = |current: Option<&BindingRecord>, version: u64| self.followed(current, version, now);
            let applied = self.bindings.apply(&stored.id, None, decide).await;
            self.wake(stored.entity.binding.instance, &applied.map_err(failed)?);
        }
        Ok(())
    }

    fn followed(
        &self,
        current: Option<&BindingRecord>,
        version: u64,
        now: Timestamp,
    ) -> Result<Change<BindingRecord>, BusError> {
        let Some((record, wanted)) = current.and_then(|record| Some((record, record.wanted.as_ref()?))) else {
            return Ok(Change::Keep);
        };
        let place = self.directory.place(wanted.location);
        let Some(state) = decision::follow(&record.binding.state, wanted, place.as_ref()) else {
            return Ok(Change::Keep);
        };
        let newly_bound = matches!(record.binding.state, BindingState::Unsatisfied { .. })
            && matches!(state, BindingState::Bound { .. });
        let binding = Binding {
            instance: record.binding.instance,
            state,
            version,
        };
        let event = BindingEvent::Changed {
            binding: Box::new(binding.clone()),
        };
        let id = common::MessageId::derive(&["binding", &event.key(), &version.to_string()]);
        let event = Record::of(&Envelope::first(id, self.bus.source(), now, event))?;
        Ok(Change::Put {
            entity: BindingRecord {
                binding,
                wanted: record.wanted.clone(),
                start: if newly_bound {
                    self.hub.ends()
                } else {
                    record.start.clone()
                },
                lineage: record.lineage,
            },
            records: vec![event],
        })
    }
}

#[cfg(test)]
#[path = "handler_tests.rs"]
mod tests;

//! `instance.events`: which instances are over.

use async_trait::async_trait;
use common::messages::instance::InstanceEvent;
use common::{Envelope, InstanceId, MessageId};
use runtime::kafka::Tail;
use runtime::{ApplyError, Change, Entities, HandleError, Handler, StoreError, TailItem};

use crate::store::Tracked;

/// Forgets instances that are over, so that the next occurrence may start.
#[derive(Debug)]
pub struct InstanceEvents {
    schedules: Entities<Tracked>,
}

impl InstanceEvents {
    /// Works on the schedules of a store.
    #[must_use]
    pub fn new(schedules: Entities<Tracked>) -> Self {
        Self { schedules }
    }

    async fn over(&self, schedule: &str, instance: InstanceId, cause: MessageId) -> Result<(), StoreError> {
        let applied = self
            .schedules
            .apply(schedule, Some(cause), |current, _| {
                let Some(tracked) = current.filter(|tracked| tracked.active.contains_key(&instance)) else {
                    return Ok::<_, std::convert::Infallible>(Change::Keep);
                };
                let mut tracked = tracked.clone();
                tracked.active.remove(&instance);
                Ok(Change::Put {
                    entity: tracked,
                    records: Vec::new(),
                })
            })
            .await;
        match applied {
            Ok(_) => Ok(()),
            Err(ApplyError::Store(error)) => Err(error),
            Err(ApplyError::Refused(never)) => match never {},
        }
    }
}

/// Hears of ends as they come, besides the group: while the partitions of a copy that died wait for another one, no occurrence is skipped
/// because of an instance that is over.
///
/// # Errors
/// When the tail fails for good.
pub async fn hear(events: InstanceEvents, mut tail: Tail<InstanceEvent>) -> anyhow::Result<()> {
    loop {
        if let TailItem::Message(placed) = tail.next().await?
            && let InstanceEvent::Changed { instance } = &placed.envelope.message
            && instance.state.is_final()
        {
            let schedule = instance.spec.schedule.to_string();
            if let Err(error) = events.over(&schedule, instance.id, placed.envelope.id).await {
                tracing::debug!(instance = %instance.id, %error, "that it is over comes with the group");
            }
        }
    }
}

#[async_trait]
impl Handler<InstanceEvent> for InstanceEvents {
    async fn handle(&self, envelope: &Envelope<InstanceEvent>) -> Result<(), HandleError> {
        match &envelope.message {
            InstanceEvent::Changed { instance } if instance.state.is_final() => {
                self.over(&instance.spec.schedule.to_string(), instance.id, envelope.id)
                    .await?;
            }
            InstanceEvent::Changed { .. } => {}
            InstanceEvent::Deleted { id } => {
                // Its last state may have been compacted away before it was read here; rare enough to look through all.
                for stored in self.schedules.list(&[]).await? {
                    if stored.entity.active.contains_key(id) {
                        self.over(&stored.id, *id, envelope.id).await?;
                    }
                }
            }
        }
        Ok(())
    }
}

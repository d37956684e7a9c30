//! `binding.events` → whether instances have what they need.

use std::sync::Arc;

use async_trait::async_trait;
use common::Envelope;
use common::messages::binding::BindingEvent;
use runtime::{BusError, Change, Entities, HandleError, Handler};
use tokio::sync::Notify;

use super::not_applied;
use crate::instance;
use crate::records::InstanceRecord;

/// Records bindings; what follows from them is decided by the executor.
#[derive(Debug)]
pub(crate) struct Bindings {
    pub(crate) instances: Entities<InstanceRecord>,
    pub(crate) wake: Arc<Notify>,
}

#[async_trait]
impl Handler<BindingEvent> for Bindings {
    async fn handle(&self, envelope: &Envelope<BindingEvent>) -> Result<(), HandleError> {
        let BindingEvent::Changed { binding } = &envelope.message;
        let decide = |current: Option<&InstanceRecord>, _| {
            Ok::<_, BusError>(match instance::bind(current, binding) {
                Some(record) => Change::Put {
                    entity: record,
                    records: Vec::new(),
                },
                None => Change::Keep,
            })
        };
        let id = binding.instance.to_string();
        self.instances
            .apply(&id, Some(envelope.id), decide)
            .await
            .map_err(not_applied)?;
        self.wake.notify_one();
        Ok(())
    }
}

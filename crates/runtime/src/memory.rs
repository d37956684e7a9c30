//! The bus in memory, for tests of handlers: it records what is published, still as JSON.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use common::{Envelope, Message, MessageId, Timestamp};

use crate::bus::{Bus, BusError, Delivery, HandleError, Handler, Publisher, Record};

/// Records what is published.
#[derive(Debug, Default)]
pub struct MemoryBus {
    records: Mutex<Vec<Record>>,
    down: std::sync::atomic::AtomicBool,
}

impl MemoryBus {
    /// Makes a recording publisher and a bus on it.
    #[must_use]
    pub fn bus(source: &str) -> (Arc<Self>, Bus) {
        let memory = Arc::new(Self::default());
        let bus = Bus::new(memory.clone(), source);
        (memory, bus)
    }

    /// From now on nothing is confirmed (or again is).
    pub fn set_down(&self, down: bool) {
        self.down.store(down, std::sync::atomic::Ordering::SeqCst);
    }

    /// Returns everything published so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the messages of one topic, in order.
    #[must_use]
    pub fn messages<M: Message>(&self) -> Vec<M> {
        self.records()
            .iter()
            .filter(|record| record.topic == M::TOPIC.name())
            .filter_map(|record| record.decode::<M>().ok().flatten())
            .map(|envelope| envelope.message)
            .collect()
    }

    /// Returns the messages of one topic without repeats of an id, in order: what an idempotent reader makes of them.
    #[must_use]
    pub fn distinct<M: Message>(&self) -> Vec<M> {
        let mut seen = std::collections::HashSet::new();
        self.records()
            .iter()
            .filter(|record| record.topic == M::TOPIC.name())
            .filter_map(|record| record.decode::<M>().ok().flatten())
            .filter(|envelope| seen.insert(envelope.id))
            .map(|envelope| envelope.message)
            .collect()
    }
}

#[async_trait]
impl Publisher for MemoryBus {
    fn enqueue(&self, record: &Record) -> Result<Delivery, BusError> {
        if self.down.load(std::sync::atomic::Ordering::SeqCst) {
            return Ok(Box::pin(async {
                Err(BusError::NotConfirmed("the memory bus is down".to_owned()))
            }));
        }
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(record.clone());
        Ok(Box::pin(async { Ok(()) }))
    }

    async fn room(&self) {
        tokio::task::yield_now().await;
    }
}

/// Wraps a message as if it came from the bus.
#[must_use]
pub fn envelope<M: Message>(message: M) -> Envelope<M> {
    Envelope::first(MessageId::new(), "test", Timestamp::now(), message)
}

/// Feeds a message to a handler twice, as a bus may.
///
/// # Errors
/// When the handler fails on either.
pub async fn feed_twice<M: Message, H: Handler<M>>(handler: &H, envelope: &Envelope<M>) -> Result<(), HandleError> {
    handler.handle(envelope).await?;
    handler.handle(envelope).await
}

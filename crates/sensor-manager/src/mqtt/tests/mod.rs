//! The endpoint over real sockets, with another project's client.

mod clients;
mod commands;
mod publishing;
mod raw;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::{SensorId, Timestamp};
use runtime::bus::{Delivery, Publisher};
use runtime::memory::MemoryBus;
use runtime::{Bus, BusError, Record};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Shared, accept};
use crate::devices::Commands;
use crate::ingest::{self, fixtures};

/// A running endpoint; ends when dropped.
struct Endpoint {
    address: SocketAddr,
    commands: Arc<Commands>,
    directory: crate::registry::Directory,
    _stop: DropGuard,
}

impl Endpoint {
    async fn start(bus: Bus) -> Self {
        let directory = fixtures::directory();
        let ingest = ingest::shared(bus, directory.clone());
        let commands = Commands::new(ingest.clone());
        commands.caught_up();
        let stop = CancellationToken::new();
        let shared = Shared::new(ingest, commands.clone(), stop.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, None, shared));
        Self {
            address,
            commands,
            directory,
            _stop: stop.drop_guard(),
        }
    }
}

fn topic(sensor: SensorId) -> String {
    format!("v1/sensors/{sensor}/readings")
}

fn payload(seq: usize) -> String {
    format!(r#"{{"values": {{"temperature": 21.5}}, "boot": 1, "seq": {seq}}}"#)
}

type Confirmation = oneshot::Sender<Result<(), BusError>>;

/// A bus that confirms when the test says so.
#[derive(Default)]
struct Manual(Mutex<Vec<Option<Confirmation>>>);

impl Manual {
    fn bus() -> (Arc<Self>, Bus) {
        let manual = Arc::<Self>::default();
        (manual.clone(), Bus::new(manual, "sensor-manager"))
    }

    /// Waits until that many records have been handed over.
    async fn handed_over(&self, count: usize) {
        while self.0.lock().unwrap().len() < count {
            tokio::task::yield_now().await;
        }
    }

    fn confirm(&self, at: usize) {
        let sender = self.0.lock().unwrap()[at].take().unwrap();
        drop(sender.send(Ok(())));
    }
}

#[async_trait]
impl Publisher for Manual {
    fn enqueue(&self, _: &Record) -> Result<Delivery, BusError> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap().push(Some(sender));
        Ok(Box::pin(async move {
            receiver
                .await
                .unwrap_or_else(|_| Err(BusError::NotConfirmed("gone".to_owned())))
        }))
    }

    async fn room(&self) {
        tokio::task::yield_now().await;
    }
}

fn memory() -> (Arc<MemoryBus>, Bus) {
    MemoryBus::bus("sensor-manager")
}

fn soon() -> Timestamp {
    Timestamp::now().plus_millis(60_000)
}

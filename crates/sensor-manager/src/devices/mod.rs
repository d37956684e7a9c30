//! Commands for devices whose connectors are connected to this process.
//!
//! Every process reads `device.commands` to its end and keeps what is not over; a connection (MQTT) or a request (HTTP
//! long poll) that stands for a device [`watch`](Commands::watch)es it. A command is handed out again to each new
//! connection until the device reports, it is forgotten, or it expires.

mod pending;
mod report;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use common::messages::action::{DeviceCommand, DeviceEvent};
use common::{ActionId, DeviceId, Timestamp};
use runtime::bus::Delivery;
use runtime::{BusError, Context, Record, TailFrom, TailItem};
use tokio::sync::Notify;

pub(crate) use pending::Command;
use pending::{Change, Pending};

use crate::ingest::{Fault, Ingest, Intake, Refusal, Sender};

/// Commands and the connections that wait for them.
#[derive(Debug)]
pub(crate) struct Commands {
    state: Mutex<State>,
    ingest: Arc<Ingest>,
}

#[derive(Debug, Default)]
struct State {
    pending: Pending,
    /// Before the topic has been read to its end, a command may be one that is over.
    caught_up: bool,
    watchers: HashMap<DeviceId, Vec<Weak<Mailbox>>>,
}

/// Devices of one watcher that have something new.
#[derive(Debug, Default)]
struct Mailbox {
    changed: Mutex<BTreeSet<DeviceId>>,
    wake: Notify,
}

impl Mailbox {
    fn put(&self, device: DeviceId) {
        self.changed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(device);
        self.wake.notify_one();
    }
}

/// Waits for commands of some devices.
#[derive(Debug)]
pub(crate) struct Watch {
    commands: Arc<Commands>,
    mailbox: Arc<Mailbox>,
    devices: BTreeSet<DeviceId>,
}

impl Commands {
    pub(crate) fn new(ingest: Arc<Ingest>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            ingest,
        })
    }

    /// Follows the topic for as long as the service lives.
    pub(crate) fn start(context: &Context, ingest: Arc<Ingest>) -> Arc<Self> {
        let commands = Self::new(ingest);
        let (following, context_) = (commands.clone(), context.clone());
        let part = context.health.part("device commands");
        part.waits_for("the device commands to be read");
        context.spawn_until_shutdown("device commands", async move {
            let mut tail = context_.tail::<DeviceCommand>(TailFrom::Beginning).await?;
            let mut purge = tokio::time::interval(Duration::from_secs(5));
            loop {
                tokio::select! {
                    item = tail.next() => match item? {
                        TailItem::Message(placed) => following.apply(placed.envelope.message, Timestamp::now()),
                        TailItem::CaughtUp => {
                            following.caught_up();
                            part.ready();
                        }
                        TailItem::Tombstone { .. } | TailItem::Skipped { .. } => {}
                    },
                    _ = purge.tick() => following.purge(Timestamp::now()),
                }
            }
        });
        commands.hear_reports(context);
        commands
    }

    /// What a device reports to another copy is over here, too.
    fn hear_reports(self: &Arc<Self>, context: &Context) {
        let (hearing, context_) = (self.clone(), context.clone());
        context.spawn_until_shutdown("reports of devices", async move {
            let mut tail = context_.tail::<DeviceEvent>(TailFrom::End).await?;
            loop {
                if let TailItem::Message(placed) = tail.next().await?
                    && let Some((device, command)) = report::ends(&placed.envelope.message)
                {
                    hearing.state().pending.end(device, command);
                }
            }
        });
    }

    /// Takes a message of the topic in and wakes who waits for it.
    pub(crate) fn apply(&self, message: DeviceCommand, now: Timestamp) {
        let mut state = self.state();
        let device = match state.pending.apply(message, now) {
            Change::Nothing => return,
            Change::New(device) => device,
            Change::NewInsteadOf(device, old) => {
                metrics::counter!("device_commands_crowded_out_total").increment(1);
                tracing::warn!(%device, command = %old, "too many commands wait for a device: the oldest is handed out no more");
                device
            }
        };
        if state.caught_up {
            state.wake(device);
        }
    }

    /// Says that the topic has been read to its end: from now on commands are handed out.
    pub(crate) fn caught_up(&self) {
        let mut state = self.state();
        state.caught_up = true;
        let devices: Vec<DeviceId> = state.watchers.keys().copied().collect();
        for device in devices {
            state.wake(device);
        }
    }

    fn purge(&self, now: Timestamp) {
        let mut state = self.state();
        state.pending.purge(now);
        #[expect(clippy::cast_precision_loss, reason = "a gauge of at most some thousands")]
        metrics::gauge!("device_commands_waiting").set(state.pending.len() as f64);
    }

    /// Returns what waits for a device, oldest first.
    pub(crate) fn of(&self, device: DeviceId, now: Timestamp) -> Vec<Arc<Command>> {
        let state = self.state();
        if state.caught_up {
            state.pending.of(device, now)
        } else {
            Vec::new()
        }
    }

    /// Makes a watch of no device yet.
    pub(crate) fn watch(self: &Arc<Self>) -> Watch {
        Watch {
            commands: self.clone(),
            mailbox: Arc::default(),
            devices: BTreeSet::new(),
        }
    }

    /// Takes in what a device says of a command; acknowledged when Kafka has it.
    pub(crate) async fn report(
        self: &Arc<Self>,
        sender: Sender,
        device: DeviceId,
        command: ActionId,
        payload: &[u8],
    ) -> Result<Intake, BusError> {
        let named = format!("v1/devices/{device}/commands/{command}/state");
        let refuse = |fault, reason| Refusal {
            fault,
            reason,
            count: 1,
        };
        if !self.carries(sender, device) {
            let reason = not_carried(sender, device);
            let refusal = refuse(Fault::NotAllowed, reason);
            return self.ingest.refuse(sender, &named, refusal, payload).await;
        }
        let event = match report::read(payload, device, command, sender.received) {
            Ok(event) => event,
            Err(reason) => {
                let refusal = refuse(Fault::Unreadable, reason);
                return self.ingest.refuse(sender, &named, refusal, payload).await;
            }
        };
        let record = Record::of(&report::envelope(self.ingest.bus.source(), event))?;
        let delivery = self.ingest.bus.enqueue(&record).await?;
        let commands = self.clone();
        Ok(Intake {
            accepted: 1,
            refusal: None,
            durable: Box::pin(async move {
                delivery.await?;
                commands.state().pending.end(device, command);
                metrics::counter!("device_reports_total", "via" => sender.via).increment(1);
                Ok(())
            }),
        })
    }

    /// Tells that the device's connector has a command.
    pub(crate) async fn sent(&self, device: DeviceId, command: ActionId, now: Timestamp) -> Result<Delivery, BusError> {
        let event = report::sent(device, command, now);
        let record = Record::of(&report::envelope(self.ingest.bus.source(), event))?;
        self.ingest.bus.enqueue(&record).await
    }

    /// Whether the sender's connector carries the device.
    pub(crate) fn carries(&self, sender: Sender, device: DeviceId) -> bool {
        let facts = self.ingest.directory.device(device);
        facts.is_some_and(|facts| facts.device.connector == sender.connector)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a connector may not speak for a device.
pub(crate) fn not_carried(sender: Sender, device: DeviceId) -> String {
    format!(
        "connector {} carries no device {device}; allowed are the devices that are registered on it",
        sender.connector
    )
}

impl State {
    fn wake(&mut self, device: DeviceId) {
        let Some(watchers) = self.watchers.get_mut(&device) else {
            return;
        };
        watchers.retain(|watcher| match watcher.upgrade() {
            Some(mailbox) => {
                mailbox.put(device);
                true
            }
            None => false,
        });
        if watchers.is_empty() {
            self.watchers.remove(&device);
        }
    }

    fn forget(&mut self, mailbox: &Arc<Mailbox>, device: DeviceId) {
        let mine = Arc::downgrade(mailbox);
        if let Some(watchers) = self.watchers.get_mut(&device) {
            watchers.retain(|watcher| !watcher.ptr_eq(&mine));
            if watchers.is_empty() {
                self.watchers.remove(&device);
            }
        }
    }
}

impl Watch {
    /// Watches a device too; it counts as changed at once.
    pub(crate) fn add(&mut self, device: DeviceId) {
        if self.devices.insert(device) {
            let mine = Arc::downgrade(&self.mailbox);
            self.commands.state().watchers.entry(device).or_default().push(mine);
        }
        self.mailbox.put(device);
    }

    /// Watches a device no longer.
    pub(crate) fn remove(&mut self, device: DeviceId) {
        if self.devices.remove(&device) {
            self.commands.state().forget(&self.mailbox, device);
        }
    }

    /// Waits until some of the devices have changed. Cancel safe.
    pub(crate) async fn changed(&self) -> BTreeSet<DeviceId> {
        loop {
            let changed = std::mem::take(&mut *self.mailbox.changed.lock().unwrap_or_else(PoisonError::into_inner));
            if !changed.is_empty() {
                return changed;
            }
            self.mailbox.wake.notified().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.commands.state();
        for device in &self.devices {
            state.forget(&self.mailbox, *device);
        }
    }
}

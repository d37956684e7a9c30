//! The registry in memory: rebuilt at each start from the compacted topic, then kept up to date by its tail.
//!
//! Readers take a snapshot and never wait. A snapshot shows a sensor or device only together with its type, so that a
//! reference that dangles (see [`super`]) is the same as an entry that is not there.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use common::messages::registry::{Connector, Device, Entry, EntryId, Location, RegistryEvent, Sensor, Type};
use common::names::Slug;
use common::rules::matching::{self, Place};
use common::{ConnectorId, DeviceId, LocationId, SensorId, Timestamp};
use runtime::{Context, TailFrom, TailItem};
use tokio::sync::watch;
use uuid::Uuid;

/// How young an id is that is waited for, in milliseconds.
const JUST_NOW_MS: i64 = 10_000;
/// How long it is waited for.
const TOLD: Duration = Duration::from_secs(1);

/// Whether an id (v7, which holds the moment) was made within the last seconds.
fn made_just_now(id: Uuid, now: Timestamp) -> bool {
    let made = id.get_timestamp().map(|moment| moment.to_unix());
    made.and_then(|(seconds, nanos)| i64::try_from(seconds * 1000 + u64::from(nanos) / 1_000_000).ok())
        .is_some_and(|made| (-JUST_NOW_MS..=JUST_NOW_MS).contains(&now.millis_since(Timestamp::from_millis(made))))
}

/// A sensor with what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorFacts {
    /// The sensor.
    pub sensor: Sensor,
    /// Its type.
    pub type_: Arc<Type>,
    /// Path of its location.
    pub location_path: String,
}

/// A device with what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceFacts {
    /// The device.
    pub device: Device,
    /// Its type.
    pub type_: Arc<Type>,
    /// Path of its location.
    pub location_path: String,
}

/// What the registry held at one moment.
#[derive(Debug, Default)]
struct Snapshot {
    locations: Vec<Location>,
    connectors: HashMap<ConnectorId, Arc<Connector>>,
    sensors: HashMap<SensorId, Arc<SensorFacts>>,
    devices: HashMap<DeviceId, Arc<DeviceFacts>>,
    devices_of: HashMap<ConnectorId, Vec<Arc<DeviceFacts>>>,
}

/// The registry in memory. Clones share it.
#[derive(Debug, Clone)]
pub struct Directory {
    snapshot: Arc<RwLock<Arc<Snapshot>>>,
    /// Number of the snapshot; 0 while the registry has not been read to its end.
    changes: watch::Sender<u64>,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            snapshot: Arc::default(),
            changes: watch::channel(0).0,
        }
    }
}

impl Directory {
    /// Makes a directory of these entries, for tests.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let directory = Self::default();
        let mut known = Entries::default();
        for entry in entries {
            known.put(entry);
        }
        directory.publish(&known);
        directory
    }

    /// Replaces what it holds, as the tail does, for tests.
    pub fn replace(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut known = Entries::default();
        for entry in entries {
            known.put(entry);
        }
        self.publish(&known);
    }

    /// Starts a directory that follows the topic for as long as the service lives.
    #[must_use]
    pub fn start(context: &Context) -> Self {
        let directory = Self::default();
        let part = context.health.part("registry directory");
        let (following, context_) = (directory.clone(), context.clone());
        context.spawn_until_shutdown(
            "registry directory",
            async move { following.follow(&context_, &part).await },
        );
        directory
    }

    /// Waits until the registry has been read to its end once.
    pub async fn caught_up(&self) {
        // The sender lives in `self`, so this can not fail.
        drop(self.changes.subscribe().wait_for(|number| *number > 0).await);
    }

    /// Returns a channel that changes with the registry.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Returns a connector.
    #[must_use]
    pub fn connector(&self, id: ConnectorId) -> Option<Arc<Connector>> {
        self.snapshot().connectors.get(&id).cloned()
    }

    /// Returns a sensor with its type.
    #[must_use]
    pub fn sensor(&self, id: SensorId) -> Option<Arc<SensorFacts>> {
        self.snapshot().sensors.get(&id).cloned()
    }

    /// Waits a moment for an entry whose id was made just now: who registered it may use it before the tail has told of it.
    /// Older ids are not waited for, so that an entry that was deleted holds nobody up.
    pub async fn expect(&self, id: Uuid, now: Timestamp, known: impl Fn(&Self) -> bool) {
        if known(self) || !made_just_now(id, now) {
            return;
        }
        let mut changes = self.changes.subscribe();
        let told = changes.wait_for(|_| known(self));
        // That it did not come in time is the answer.
        drop(tokio::time::timeout(TOLD, told).await);
    }

    /// Returns a device with its type.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<Arc<DeviceFacts>> {
        self.snapshot().devices.get(&id).cloned()
    }

    /// Returns the devices that a connector carries, in order of name.
    #[must_use]
    pub fn devices_of(&self, connector: ConnectorId) -> Vec<Arc<DeviceFacts>> {
        self.snapshot().devices_of.get(&connector).cloned().unwrap_or_default()
    }

    /// Returns a location with what is there and below.
    #[must_use]
    pub fn place(&self, location: LocationId) -> Option<Place> {
        let snapshot = self.snapshot();
        Place::of(
            location,
            &snapshot.locations,
            snapshot.sensors.values().map(|facts| &facts.sensor),
            snapshot.devices.values().map(|facts| &facts.device),
        )
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, entries: &Entries) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(entries.snapshot());
        self.changes.send_modify(|number| *number += 1);
    }

    async fn follow(&self, context: &Context, part: &runtime::health::Part) -> anyhow::Result<()> {
        /// Changes that come together are shown together.
        const SETTLE: Duration = Duration::from_millis(20);
        part.waits_for("the registry to be read");
        let mut tail = context.tail::<RegistryEvent>(TailFrom::Beginning).await?;
        let mut entries = Entries::default();
        let (mut caught_up, mut changed) = (false, false);
        loop {
            let item = if caught_up && changed {
                match tokio::time::timeout(SETTLE, tail.next()).await {
                    Ok(item) => item?,
                    Err(_) => {
                        self.publish(&entries);
                        changed = false;
                        continue;
                    }
                }
            } else {
                tail.next().await?
            };
            match item {
                TailItem::Message(placed) => {
                    match placed.envelope.message {
                        RegistryEvent::Changed { entry } => entries.put(entry),
                        RegistryEvent::Deleted { id } => entries.remove(&id),
                    }
                    changed = true;
                }
                TailItem::Tombstone { key, .. } => {
                    entries.remove_key(&key);
                    changed = true;
                }
                TailItem::Skipped { .. } => {}
                TailItem::CaughtUp => {
                    caught_up = true;
                    changed = false;
                    self.publish(&entries);
                    part.ready();
                }
            }
        }
    }
}

/// Every entry by its key on the topic.
#[derive(Debug, Default)]
struct Entries(BTreeMap<String, Entry>);

impl Entries {
    /// Keeps the highest version: an outbox that is published again may say an old one once more.
    fn put(&mut self, entry: Entry) {
        let key = entry.id().to_string();
        if self.0.get(&key).is_none_or(|known| known.version() <= entry.version()) {
            self.0.insert(key, entry);
        }
    }

    fn remove(&mut self, id: &EntryId) {
        self.remove_key(&id.to_string());
    }

    fn remove_key(&mut self, key: &str) {
        self.0.remove(key);
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut types: HashMap<&Slug, Arc<Type>> = HashMap::new();
        for entry in self.0.values() {
            match entry {
                Entry::Type(entry) => {
                    types.insert(&entry.name, Arc::new(entry.clone()));
                }
                Entry::Location(entry) => snapshot.locations.push(entry.clone()),
                Entry::Connector(entry) => {
                    snapshot.connectors.insert(entry.id, Arc::new(entry.clone()));
                }
                Entry::Sensor(_) | Entry::Device(_) => {}
            }
        }
        let tree = matching::tree(&snapshot.locations);
        for entry in self.0.values() {
            match entry {
                Entry::Sensor(sensor) => {
                    if let Some(type_) = types.get(&sensor.type_name) {
                        let facts = SensorFacts {
                            sensor: sensor.clone(),
                            type_: type_.clone(),
                            location_path: matching::path(&tree, sensor.location).unwrap_or_default(),
                        };
                        snapshot.sensors.insert(sensor.id, Arc::new(facts));
                    }
                }
                Entry::Device(device) => {
                    if let Some(type_) = types.get(&device.type_name) {
                        let facts = Arc::new(DeviceFacts {
                            device: device.clone(),
                            type_: type_.clone(),
                            location_path: matching::path(&tree, device.location).unwrap_or_default(),
                        });
                        snapshot.devices.insert(device.id, facts.clone());
                        snapshot.devices_of.entry(device.connector).or_default().push(facts);
                    }
                }
                Entry::Type(_) | Entry::Location(_) | Entry::Connector(_) => {}
            }
        }
        for devices in snapshot.devices_of.values_mut() {
            devices.sort_by(|a, b| (&a.device.name, a.device.id).cmp(&(&b.device.name, b.device.id)));
        }
        snapshot
    }
}

#[cfg(test)]
mod tests;

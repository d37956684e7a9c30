//! The read model: what is known of everything, in memory, rebuilt from the compacted topics at each start.

mod feed;
mod fold;
mod places;
pub(crate) mod position;
mod subject;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use common::messages::application::Application;
use common::messages::binding::Binding;
use common::messages::health::{Component, ComponentHealth, Heartbeat, Node, Recovery, ServiceHealth};
use common::messages::instance::Instance;
use common::messages::registry::{Connector, Device, Entry, EntryId, Location, Sensor, Type};
use common::messages::schedule::Schedule;
use common::messages::user::User;
use common::names::Slug;
use common::{ApplicationId, ConnectorId, DeviceId, InstanceId, LocationId, ScheduleId, SensorId, Topic, UserId};
use tokio::sync::watch;
use uuid::Uuid;

pub(crate) use feed::follow_all;
pub(crate) use fold::Fold;

use position::{Position, Progress};

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) users: BTreeMap<UserId, User>,
    pub(crate) applications: BTreeMap<ApplicationId, Application>,
    pub(crate) schedules: BTreeMap<ScheduleId, Schedule>,
    pub(crate) instances: BTreeMap<InstanceId, Instance>,
    pub(crate) bindings: BTreeMap<InstanceId, Binding>,
    pub(crate) types: BTreeMap<Slug, Type>,
    pub(crate) locations: BTreeMap<LocationId, Location>,
    pub(crate) connectors: BTreeMap<ConnectorId, Connector>,
    pub(crate) sensors: BTreeMap<SensorId, Sensor>,
    pub(crate) devices: BTreeMap<DeviceId, Device>,
    /// Verdicts by copy.
    pub(crate) services: BTreeMap<String, ServiceHealth>,
    /// Verdicts on hosts, Kafka, MongoDB.
    pub(crate) components: BTreeMap<Component, ComponentHealth>,
    /// What the monitor did about lost hosts, newest of each service and host.
    pub(crate) recoveries: BTreeMap<String, Recovery>,
    /// Newest heartbeat by copy.
    pub(crate) beats: BTreeMap<String, Heartbeat>,
    /// Hosts by name.
    pub(crate) nodes: BTreeMap<String, Node>,
    /// Ids of what was deleted: an older state that arrives late does not raise it again.
    graves: HashSet<Uuid>,
}

impl View {
    /// Returns the version of an entry of the registry.
    pub(crate) fn entry_version(&self, id: &EntryId) -> Option<u64> {
        match id {
            EntryId::Type(name) => self.types.get(name).map(|entry| entry.version),
            EntryId::Location(id) => self.locations.get(id).map(|entry| entry.version),
            EntryId::Connector(id) => self.connectors.get(id).map(|entry| entry.version),
            EntryId::Sensor(id) => self.sensors.get(id).map(|entry| entry.version),
            EntryId::Device(id) => self.devices.get(id).map(|entry| entry.version),
        }
    }

    /// Returns an entry of the registry.
    pub(crate) fn entry(&self, id: &EntryId) -> Option<Entry> {
        match id {
            EntryId::Type(name) => self.types.get(name).cloned().map(Entry::Type),
            EntryId::Location(id) => self.locations.get(id).cloned().map(Entry::Location),
            EntryId::Connector(id) => self.connectors.get(id).cloned().map(Entry::Connector),
            EntryId::Sensor(id) => self.sensors.get(id).cloned().map(Entry::Sensor),
            EntryId::Device(id) => self.devices.get(id).cloned().map(Entry::Device),
        }
    }

    /// Returns the application of that name.
    pub(crate) fn application_named(&self, name: &str) -> Option<&Application> {
        self.applications.values().find(|application| application.name == name)
    }

    /// Returns the user of that name.
    pub(crate) fn user_named(&self, name: &str) -> Option<&User> {
        self.users.values().find(|user| user.name == name)
    }
}

/// The view, shared; knows when it changes and whether it is complete.
#[derive(Debug)]
pub(crate) struct ReadModel {
    view: RwLock<View>,
    changes: watch::Sender<u64>,
    behind: watch::Sender<usize>,
    progress: Mutex<Progress>,
}

impl Default for ReadModel {
    fn default() -> Self {
        Self {
            view: RwLock::default(),
            changes: watch::Sender::new(0),
            behind: watch::Sender::new(0),
            progress: Mutex::default(),
        }
    }
}

impl ReadModel {
    /// Reads. The guard must not live across an await.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the view and wakes who waits for a change.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut View) -> R) -> R {
        let result = change(&mut self.view.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// Waits until the view shows something; `false` when it does not in time.
    pub(crate) async fn until(&self, patience: Duration, shown: impl Fn(&View) -> bool + Send + Sync) -> bool {
        let mut changes = self.changes.subscribe();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                if shown(&self.read()) {
                    return;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(patience, waiting).await.is_ok()
    }

    /// Notes that a record has been taken in.
    pub(crate) fn pass(&self, topic: Topic, partition: i32, offset: i64) {
        self.progress().pass(topic, partition, offset, Instant::now());
        self.changes.send_modify(|count| *count += 1);
    }

    /// Where it is, as far as it has changed lately.
    pub(crate) fn recent(&self) -> Position {
        self.progress().recent(Instant::now())
    }

    /// Waits until it is as far as another copy's view was; `false` when it is not in time.
    pub(crate) async fn reach(&self, position: &Position, patience: Duration) -> bool {
        position.is_empty() || self.until(patience, |_| self.progress().covers(position)).await
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a topic that has not been read to its end yet.
    pub(crate) fn begins(&self) {
        self.behind.send_modify(|count| *count += 1);
    }

    /// Counts a topic that has been.
    pub(crate) fn caught_up(&self) {
        self.behind.send_modify(|count| *count = count.saturating_sub(1));
    }

    /// Whether every topic has been read to its end once.
    pub(crate) fn is_complete(&self) -> bool {
        *self.behind.borrow() == 0
    }

    /// Waits until every topic has been read to its end once.
    pub(crate) async fn complete(&self) {
        let mut behind = self.behind.subscribe();
        while *behind.borrow_and_update() != 0 {
            if behind.changed().await.is_err() {
                return;
            }
        }
    }
}

//! Who watches what: one bounded queue per browser; who is too slow is dropped and comes back by itself.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use common::messages::action::{Command, Notification, Origin};
use common::messages::log::AppLog;
use common::messages::reading::Reading;
use common::messages::registry::EntryId;
use common::{ApplicationId, InstanceId, OperationId, ScheduleId, SensorId, UserId, VersionId};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Signals that wait for one browser at most.
const QUEUE: usize = 256;
/// Channels that one browser may watch.
pub(crate) const MOST_CHANNELS: usize = 200;

/// Something to watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Channel {
    /// States of instances.
    Instances,
    /// The catalogue.
    Applications,
    /// Schedules.
    Schedules,
    /// Own notifications.
    Notifications,
    /// Services and hosts.
    Health,
    /// Types, locations, connectors, sensors, devices.
    Registry,
    /// Users.
    Users,
    /// Answers to own operations.
    Operations,
    /// Readings of a sensor.
    Readings(SensorId),
    /// Log lines of an instance.
    Logs(InstanceId),
    /// Log lines of a build.
    Build(VersionId),
    /// Commands of a device or an instance.
    Commands(Uuid),
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instances => f.write_str("instances"),
            Self::Applications => f.write_str("applications"),
            Self::Schedules => f.write_str("schedules"),
            Self::Notifications => f.write_str("notifications"),
            Self::Health => f.write_str("health"),
            Self::Registry => f.write_str("registry"),
            Self::Users => f.write_str("users"),
            Self::Operations => f.write_str("operations"),
            Self::Readings(id) => write!(f, "readings:{id}"),
            Self::Logs(id) => write!(f, "logs:{id}"),
            Self::Build(id) => write!(f, "build:{id}"),
            Self::Commands(id) => write!(f, "commands:{id}"),
        }
    }
}

impl FromStr for Channel {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "`{}` is not a topic; there are instances, applications, schedules, notifications, health, registry, users, operations, \
                 readings:<sensor id>, logs:<instance id>, build:<version id>, commands:<device or instance id>",
                text.chars().take(80).collect::<String>()
            )
        };
        Ok(match text.split_once(':') {
            None => match text {
                "instances" => Self::Instances,
                "applications" => Self::Applications,
                "schedules" => Self::Schedules,
                "notifications" => Self::Notifications,
                "health" => Self::Health,
                "registry" => Self::Registry,
                "users" => Self::Users,
                "operations" => Self::Operations,
                _ => return Err(unknown()),
            },
            Some(("readings", id)) => Self::Readings(id.parse().map_err(|_| unknown())?),
            Some(("logs", id)) => Self::Logs(id.parse().map_err(|_| unknown())?),
            Some(("build", id)) => Self::Build(id.parse().map_err(|_| unknown())?),
            Some(("commands", id)) => Self::Commands(id.parse().map_err(|_| unknown())?),
            Some(_) => return Err(unknown()),
        })
    }
}

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Signal {
    /// A user changed.
    User(UserId),
    /// An application changed.
    Application(ApplicationId),
    /// A schedule changed.
    Schedule(ScheduleId),
    /// An instance or its binding changed.
    Instance(InstanceId),
    /// An entry of the registry changed.
    Registry(EntryId),
    /// The verdict on a copy of a service, or its heartbeat.
    Service(String),
    /// A host reported.
    Node(String),
    /// An operation ended.
    Operation(OperationId),
    /// A notification is new or further.
    Notification(Arc<Notification>),
    /// A command is new or further.
    Command(Arc<Command>),
    /// A reading arrived.
    Reading(Arc<Reading>),
    /// Something was printed.
    Lines(Arc<AppLog>),
}

impl Signal {
    /// Returns the channels it belongs to.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        match self {
            Self::User(_) => vec![Channel::Users],
            Self::Application(_) => vec![Channel::Applications],
            Self::Schedule(_) => vec![Channel::Schedules],
            Self::Instance(_) => vec![Channel::Instances],
            Self::Registry(_) => vec![Channel::Registry],
            Self::Service(_) | Self::Node(_) => vec![Channel::Health],
            Self::Operation(_) => vec![Channel::Operations],
            Self::Notification(_) => vec![Channel::Notifications],
            Self::Command(command) => {
                let mut channels = vec![Channel::Commands(command.device.uuid())];
                if let Origin::Instance { instance } = &command.origin {
                    channels.push(Channel::Commands(instance.uuid()));
                }
                channels
            }
            Self::Reading(reading) => vec![Channel::Readings(reading.sensor)],
            Self::Lines(lines) => vec![match &**lines {
                AppLog::Instance { instance, .. } => Channel::Logs(*instance),
                AppLog::Build { version, .. } => Channel::Build(*version),
            }],
        }
    }
}

/// A signal on its way to one browser.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Number within this process.
    pub(crate) number: u64,
    /// The channel it came on.
    pub(crate) channel: Channel,
    /// What happened.
    pub(crate) signal: Arc<Signal>,
}

type Watchers = HashMap<Channel, HashMap<u64, mpsc::Sender<Event>>>;

/// All who watch.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    watchers: Mutex<Watchers>,
    numbers: AtomicU64,
}

/// One who watches; ends by being dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    channels: Vec<Channel>,
    events: mpsc::Receiver<Event>,
}

impl Hub {
    /// Begins to watch.
    pub(crate) fn subscribe(self: &Arc<Self>, channels: Vec<Channel>) -> Subscription {
        let id = self.number();
        let (sender, events) = mpsc::channel(QUEUE);
        let mut watchers = self.lock();
        for channel in &channels {
            watchers.entry(channel.clone()).or_default().insert(id, sender.clone());
        }
        drop(watchers);
        Subscription {
            hub: self.clone(),
            id,
            channels,
            events,
        }
    }

    /// Tells everyone who watches. Never waits: who has no room any more is dropped.
    pub(crate) fn publish(&self, signal: Signal) {
        let channels = signal.channels();
        let number = self.number();
        let signal = Arc::new(signal);
        let mut watchers = self.lock();
        let mut slow = Vec::new();
        for channel in channels {
            for (id, sender) in watchers.get(&channel).into_iter().flatten() {
                let event = Event {
                    number,
                    channel: channel.clone(),
                    signal: signal.clone(),
                };
                if sender.try_send(event).is_err() {
                    slow.push(*id);
                }
            }
        }
        for id in slow {
            metrics::counter!("console_streams_dropped_total").increment(1);
            forget(&mut watchers, id, None);
        }
    }

    /// Ends every stream: the process ends.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget(watchers: &mut Watchers, id: u64, channels: Option<&[Channel]>) {
    match channels {
        Some(channels) => {
            for channel in channels {
                if let Some(known) = watchers.get_mut(channel) {
                    known.remove(&id);
                    if known.is_empty() {
                        watchers.remove(channel);
                    }
                }
            }
        }
        None => watchers.retain(|_, known| {
            known.remove(&id);
            !known.is_empty()
        }),
    }
}

impl Subscription {
    /// Returns what comes next; `None` when this one was too slow or the process ends.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        forget(&mut self.hub.lock(), self.id, Some(&self.channels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_read_as_they_are_written() {
        let sensor = SensorId::new();
        for text in [
            "instances",
            "health",
            &format!("readings:{sensor}"),
            &format!("commands:{sensor}"),
        ] {
            assert_eq!(text.parse::<Channel>().unwrap().to_string(), *text);
        }
        for bad in ["", "instance", "readings", "readings:", "readings:x", "x:1"] {
            assert!(bad.parse::<Channel>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_slow_watcher_is_dropped_and_others_are_not() {
        let hub = Arc::new(Hub::default());
        let mut slow = hub.subscribe(vec![Channel::Health, Channel::Users]);
        let mut quick = hub.subscribe(vec![Channel::Health]);
        for number in 0..QUEUE + 10 {
            hub.publish(Signal::Node(number.to_string()));
            assert!(quick.next().await.is_some());
        }
        let mut got = 0;
        while slow.next().await.is_some() {
            got += 1;
        }
        assert_eq!(got, QUEUE);
        drop((slow, quick));
        assert!(hub.lock().is_empty());
    }
}

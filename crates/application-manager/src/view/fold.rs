//! View + event → view. Pure; the highest version wins, a deletion is final.

use std::collections::BTreeMap;

use common::messages::application::ApplicationEvent;
use common::messages::binding::BindingEvent;
use common::messages::health::{Heartbeat, NodeEvent, ServiceEvent};
use common::messages::instance::InstanceEvent;
use common::messages::registry::{Entry, EntryId, RegistryEvent};
use common::messages::schedule::ScheduleEvent;
use common::messages::user::UserEvent;
use common::{Message, Timestamp};
use uuid::Uuid;

use super::View;
use crate::hub::Signal;

/// Folds the messages of one topic.
pub(crate) trait Fold<M: Message> {
    /// Takes a message; returns what changed, for those who watch.
    fn fold(&mut self, message: &M) -> Option<Signal>;

    /// Takes the end of a key.
    fn bury(&mut self, _key: &str) -> Option<Signal> {
        None
    }
}

fn keep_newer<K: Ord, V: Clone>(map: &mut BTreeMap<K, V>, key: K, value: &V, version: impl Fn(&V) -> u64) -> bool {
    let newer = map.get(&key).is_none_or(|known| version(known) < version(value));
    if newer {
        map.insert(key, value.clone());
    }
    newer
}

impl View {
    fn is_buried(&self, id: Uuid) -> bool {
        self.graves.contains(&id)
    }
}

impl Fold<UserEvent> for View {
    fn fold(&mut self, message: &UserEvent) -> Option<Signal> {
        let (id, changed) = match message {
            UserEvent::Changed { user } if self.is_buried(user.id.uuid()) => (user.id, false),
            UserEvent::Changed { user } => (user.id, keep_newer(&mut self.users, user.id, user, |user| user.version)),
            UserEvent::Deleted { id } => {
                self.graves.insert(id.uuid());
                (*id, self.users.remove(id).is_some())
            }
        };
        changed.then_some(Signal::User(id))
    }
    fn bury(&mut self, key: &str) -> Option<Signal> {
        self.fold(&UserEvent::Deleted { id: key.parse().ok()? })
    }
}

impl Fold<ApplicationEvent> for View {
    fn fold(&mut self, message: &ApplicationEvent) -> Option<Signal> {
        let (id, changed) = match message {
            ApplicationEvent::Changed { application } if self.is_buried(application.id.uuid()) => {
                (application.id, false)
            }
            ApplicationEvent::Changed { application } => (
                application.id,
                keep_newer(&mut self.applications, application.id, application, |entity| {
                    entity.version
                }),
            ),
            ApplicationEvent::Deleted { id } => {
                self.graves.insert(id.uuid());
                (*id, self.applications.remove(id).is_some())
            }
        };
        changed.then_some(Signal::Application(id))
    }
    fn bury(&mut self, key: &str) -> Option<Signal> {
        self.fold(&ApplicationEvent::Deleted { id: key.parse().ok()? })
    }
}

impl Fold<ScheduleEvent> for View {
    fn fold(&mut self, message: &ScheduleEvent) -> Option<Signal> {
        let (id, changed) = match message {
            ScheduleEvent::Changed { schedule } if self.is_buried(schedule.id.uuid()) => (schedule.id, false),
            ScheduleEvent::Changed { schedule } => (
                schedule.id,
                keep_newer(&mut self.schedules, schedule.id, schedule, |entity| entity.version),
            ),
            ScheduleEvent::Deleted { id } => {
                self.graves.insert(id.uuid());
                (*id, self.schedules.remove(id).is_some())
            }
        };
        changed.then_some(Signal::Schedule(id))
    }
    fn bury(&mut self, key: &str) -> Option<Signal> {
        self.fold(&ScheduleEvent::Deleted { id: key.parse().ok()? })
    }
}

impl Fold<InstanceEvent> for View {
    fn fold(&mut self, message: &InstanceEvent) -> Option<Signal> {
        let (id, changed) = match message {
            InstanceEvent::Changed { instance } if self.is_buried(instance.id.uuid()) => (instance.id, false),
            InstanceEvent::Changed { instance } => (
                instance.id,
                keep_newer(&mut self.instances, instance.id, instance, |entity| entity.version),
            ),
            InstanceEvent::Deleted { id } => {
                self.graves.insert(id.uuid());
                self.bindings.remove(id);
                (*id, self.instances.remove(id).is_some())
            }
        };
        changed.then_some(Signal::Instance(id))
    }
    fn bury(&mut self, key: &str) -> Option<Signal> {
        self.fold(&InstanceEvent::Deleted { id: key.parse().ok()? })
    }
}

impl Fold<BindingEvent> for View {
    fn fold(&mut self, message: &BindingEvent) -> Option<Signal> {
        let BindingEvent::Changed { binding } = message;
        let id = binding.instance;
        // Its topic is read beside that of the instances, so that it may come after the end.
        if self.is_buried(id.uuid()) {
            return None;
        }
        keep_newer(&mut self.bindings, id, binding, |entity| entity.version).then_some(Signal::Instance(id))
    }
    fn bury(&mut self, key: &str) -> Option<Signal> {
        let id = key.parse().ok()?;
        self.bindings.remove(&id).map(|_| Signal::Instance(id))
    }
}

impl Fold<RegistryEvent> for View {
    fn fold(&mut self, message: &RegistryEvent) -> Option<Signal> {
        match message {
            RegistryEvent::Changed { entry } => self.put(entry).then(|| Signal::Registry(entry.id())),
            RegistryEvent::Deleted { id } => self.remove(id).then(|| Signal::Registry(id.clone())),
        }
    }
    fn bury(&mut self, key: &str) -> Option<Signal> {
        let (kind, id) = key.split_once('/')?;
        let id = match kind {
            "type" => EntryId::Type(id.parse().ok()?),
            "location" => EntryId::Location(id.parse().ok()?),
            "connector" => EntryId::Connector(id.parse().ok()?),
            "sensor" => EntryId::Sensor(id.parse().ok()?),
            "device" => EntryId::Device(id.parse().ok()?),
            _ => return None,
        };
        self.remove(&id).then_some(Signal::Registry(id))
    }
}

impl View {
    fn put(&mut self, entry: &Entry) -> bool {
        if uuid_of(&entry.id()).is_some_and(|id| self.is_buried(id)) {
            return false;
        }
        match entry {
            Entry::Type(entry) => keep_newer(&mut self.types, entry.name.clone(), entry, |entry| entry.version),
            Entry::Location(entry) => keep_newer(&mut self.locations, entry.id, entry, |entry| entry.version),
            Entry::Connector(entry) => keep_newer(&mut self.connectors, entry.id, entry, |entry| entry.version),
            Entry::Sensor(entry) => keep_newer(&mut self.sensors, entry.id, entry, |entry| entry.version),
            Entry::Device(entry) => keep_newer(&mut self.devices, entry.id, entry, |entry| entry.version),
        }
    }

    fn remove(&mut self, id: &EntryId) -> bool {
        if let Some(id) = uuid_of(id) {
            self.graves.insert(id);
        }
        match id {
            EntryId::Type(name) => self.types.remove(name).is_some(),
            EntryId::Location(id) => self.locations.remove(id).is_some(),
            EntryId::Connector(id) => self.connectors.remove(id).is_some(),
            EntryId::Sensor(id) => self.sensors.remove(id).is_some(),
            EntryId::Device(id) => self.devices.remove(id).is_some(),
        }
    }
}

/// Ids are never used twice; names of types are, so a type has no grave.
fn uuid_of(id: &EntryId) -> Option<Uuid> {
    match id {
        EntryId::Type(_) => None,
        EntryId::Location(id) => Some(id.uuid()),
        EntryId::Connector(id) => Some(id.uuid()),
        EntryId::Sensor(id) => Some(id.uuid()),
        EntryId::Device(id) => Some(id.uuid()),
    }
}

impl Fold<ServiceEvent> for View {
    fn fold(&mut self, message: &ServiceEvent) -> Option<Signal> {
        match message {
            ServiceEvent::Changed { health } => {
                let copy = health.copy.to_string();
                keep_newer(&mut self.services, copy.clone(), health, |entity| entity.version)
                    .then_some(Signal::Service(copy))
            }
            ServiceEvent::Recovered { recovery } => {
                let key = message.key();
                keep_newer(&mut self.recoveries, key, recovery, |entity| entity.version);
                None
            }
            ServiceEvent::ComponentChanged { health } => {
                let component = health.component.clone();
                keep_newer(&mut self.components, component, health, |entity| entity.version);
                None
            }
        }
    }
    fn bury(&mut self, key: &str) -> Option<Signal> {
        self.recoveries.remove(key);
        self.components.retain(|component, _| component.to_string() != key);
        self.beats.remove(key);
        self.services.remove(key).map(|_| Signal::Service(key.to_owned()))
    }
}

impl Fold<NodeEvent> for View {
    fn fold(&mut self, message: &NodeEvent) -> Option<Signal> {
        let NodeEvent::Reported { node } = message;
        let newer = self.nodes.get(&node.name).is_none_or(|known| known.at < node.at);
        newer.then(|| {
            self.nodes.insert(node.name.clone(), node.clone());
            Signal::Node(node.name.clone())
        })
    }
    fn bury(&mut self, key: &str) -> Option<Signal> {
        self.nodes.remove(key).map(|_| Signal::Node(key.to_owned()))
    }
}

impl Fold<Heartbeat> for View {
    fn fold(&mut self, message: &Heartbeat) -> Option<Signal> {
        let key = message.copy().to_string();
        let newer = self
            .beats
            .get(&key)
            .is_none_or(|known| beat_time(known) < beat_time(message));
        newer.then(|| {
            self.beats.insert(key.clone(), message.clone());
            Signal::Service(key)
        })
    }
}

fn beat_time(beat: &Heartbeat) -> Timestamp {
    match beat {
        Heartbeat::Beat { at, .. } | Heartbeat::Farewell { at, .. } => *at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::messages::binding::{Binding, BindingState};
    use common::messages::registry::Location;
    use common::{InstanceId, LocationId, UserId};
    use proptest::prelude::*;

    fn location(id: LocationId, version: u64) -> RegistryEvent {
        RegistryEvent::Changed {
            entry: Entry::Location(Location {
                id,
                name: format!("v{version}"),
                kind: "room".to_owned(),
                parent: None,
                grants: Vec::new(),
                version,
            }),
        }
    }

    proptest! {
        #[test]
        fn any_order_with_repeats_ends_at_the_highest_version(versions in proptest::collection::vec(1_u64..20, 1..40)) {
            let id = LocationId::new();
            let mut view = View::default();
            for version in &versions {
                view.fold(&location(id, *version));
            }
            let highest = versions.iter().max().copied();
            prop_assert_eq!(view.locations.get(&id).map(|location| location.version), highest);
        }
    }

    #[test]
    fn a_forgotten_instance_leaves_nothing_whichever_topic_is_read_first() {
        let id = InstanceId::derive(&["i"]);
        let binding = BindingEvent::Changed {
            binding: Box::new(Binding {
                instance: id,
                state: BindingState::Released,
                version: 3,
            }),
        };
        let deleted = InstanceEvent::Deleted { id };
        for [first, second] in [[true, false], [false, true]] {
            let mut view = View::default();
            for tells_of_binding in [first, second, second] {
                if tells_of_binding {
                    view.fold(&binding);
                } else {
                    view.fold(&deleted);
                    // The tombstone: all that is left of it after compaction.
                    assert_eq!(Fold::<InstanceEvent>::bury(&mut view, &id.to_string()), None);
                }
            }
            assert!(view.bindings.is_empty() && view.instances.is_empty());
            assert_eq!(Fold::<BindingEvent>::bury(&mut view, &id.to_string()), None);
        }
    }

    #[test]
    fn a_repeat_is_no_news() {
        let mut view = View::default();
        let event = location(LocationId::new(), 3);
        assert!(view.fold(&event).is_some());
        assert_eq!(view.fold(&event), None);
    }

    #[test]
    fn what_is_deleted_does_not_come_back() {
        let id = LocationId::new();
        let mut view = View::default();
        view.fold(&location(id, 1));
        let deleted = RegistryEvent::Deleted {
            id: EntryId::Location(id),
        };
        assert_eq!(view.fold(&deleted), Some(Signal::Registry(EntryId::Location(id))));
        assert_eq!(Fold::<RegistryEvent>::bury(&mut view, &format!("location/{id}")), None);
        assert_eq!(view.fold(&location(id, 2)), None);
        assert!(view.locations.is_empty());
        assert_eq!(Fold::<UserEvent>::bury(&mut view, &UserId::new().to_string()), None);
    }
}

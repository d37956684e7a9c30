//! What the tails tell: who may act, what is bound, what devices can do, whose an instance is. In memory, rebuilt at each start.

mod follow;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use common::messages::binding::{Binding, BindingEvent, BindingState, SessionEvent};
use common::messages::instance::InstanceEvent;
use common::messages::registry::{CommandSpec, Entry, EntryId, RegistryEvent};
use common::messages::user::{User, UserEvent};
use common::{DeviceId, InstanceId, UserId};

pub use follow::follow_all;

/// What is known now, and whether that is all there was at the start.
#[derive(Debug, Default)]
pub struct View {
    known: RwLock<Known>,
    behind: AtomicUsize,
}

/// What is known.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Newest session of each instance and shard.
    pub sessions: HashMap<(InstanceId, u32), u64>,
    /// Bindings of instances that are not over.
    pub bindings: HashMap<InstanceId, Binding>,
    /// Instances.
    pub instances: HashMap<InstanceId, InstanceFacts>,
    /// Commands of device types, by the name of the type.
    pub types: HashMap<String, BTreeMap<String, CommandSpec>>,
    /// Names of the types of devices.
    pub devices: HashMap<DeviceId, String>,
    /// Users.
    pub users: HashMap<UserId, User>,
}

/// What matters here of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFacts {
    /// The end user.
    pub owner: UserId,
    /// Title of the application.
    pub application: String,
    /// Whether it is over.
    pub over: bool,
    /// Version of the entity.
    pub version: u64,
}

/// Takes in the messages of one compacted topic.
pub trait Fold<M> {
    /// Takes in a message; an older one than what is known changes nothing.
    fn fold(&mut self, message: &M);
    /// Forgets a key.
    fn forget(&mut self, key: &str);
}

impl View {
    /// Returns what is known.
    pub fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known.
    pub fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everything that was said before the start is known.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.behind.load(Ordering::Acquire) == 0
    }

    fn begins(&self) {
        self.behind.fetch_add(1, Ordering::AcqRel);
    }

    fn caught_up(&self) {
        self.behind.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Fold<SessionEvent> for Known {
    fn fold(&mut self, message: &SessionEvent) {
        let SessionEvent::Opened {
            instance,
            shard,
            session,
            ..
        } = message;
        let newest = self.sessions.entry((*instance, *shard)).or_default();
        *newest = (*newest).max(*session);
    }

    fn forget(&mut self, key: &str) {
        let parts = key.split_once('/');
        if let Some((Ok(instance), Ok(shard))) = parts.map(|(instance, shard)| (instance.parse(), shard.parse())) {
            self.sessions.remove(&(instance, shard));
        }
    }
}

impl Fold<BindingEvent> for Known {
    fn fold(&mut self, message: &BindingEvent) {
        let BindingEvent::Changed { binding } = message;
        let known = self.bindings.get(&binding.instance);
        if known.is_some_and(|known| known.version > binding.version) {
            return;
        }
        match binding.state {
            BindingState::Released => drop(self.bindings.remove(&binding.instance)),
            _ => drop(self.bindings.insert(binding.instance, (**binding).clone())),
        }
    }

    fn forget(&mut self, key: &str) {
        if let Ok(instance) = key.parse() {
            self.bindings.remove(&instance);
        }
    }
}

impl Fold<InstanceEvent> for Known {
    fn fold(&mut self, message: &InstanceEvent) {
        match message {
            InstanceEvent::Changed { instance } => {
                let known = self.instances.get(&instance.id);
                if known.is_none_or(|known| known.version <= instance.version) {
                    let facts = InstanceFacts {
                        owner: instance.spec.owner,
                        application: instance.spec.version.manifest.title.clone(),
                        over: instance.state.is_final(),
                        version: instance.version,
                    };
                    self.instances.insert(instance.id, facts);
                }
            }
            InstanceEvent::Deleted { id } => drop(self.instances.remove(id)),
        }
    }

    fn forget(&mut self, key: &str) {
        if let Ok(instance) = key.parse() {
            self.instances.remove(&instance);
        }
    }
}

impl Fold<RegistryEvent> for Known {
    fn fold(&mut self, message: &RegistryEvent) {
        match message {
            RegistryEvent::Changed {
                entry: Entry::Type(entry),
            } => {
                self.types.insert(entry.name.to_string(), entry.commands.clone());
            }
            RegistryEvent::Changed {
                entry: Entry::Device(entry),
            } => {
                self.devices.insert(entry.id, entry.type_name.to_string());
            }
            RegistryEvent::Changed { .. } => {}
            RegistryEvent::Deleted {
                id: EntryId::Type(name),
            } => drop(self.types.remove(name.as_str())),
            RegistryEvent::Deleted {
                id: EntryId::Device(id),
            } => drop(self.devices.remove(id)),
            RegistryEvent::Deleted { .. } => {}
        }
    }

    fn forget(&mut self, key: &str) {
        match key.split_once('/') {
            Some(("type", name)) => drop(self.types.remove(name)),
            Some(("device", id)) => {
                if let Ok(id) = id.parse() {
                    self.devices.remove(&id);
                }
            }
            _ => {}
        }
    }
}

impl Fold<UserEvent> for Known {
    fn fold(&mut self, message: &UserEvent) {
        match message {
            UserEvent::Changed { user } => {
                let known = self.users.get(&user.id);
                if known.is_none_or(|known| known.version <= user.version) {
                    self.users.insert(user.id, (**user).clone());
                }
            }
            UserEvent::Deleted { id } => drop(self.users.remove(id)),
        }
    }

    fn forget(&mut self, key: &str) {
        if let Ok(user) = key.parse() {
            self.users.remove(&user);
        }
    }
}

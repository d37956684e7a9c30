//! Which commands wait for which device. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use common::manifest::Values;
use common::messages::action::DeviceCommand;
use common::{ActionId, DeviceId, Timestamp};
use serde::Serialize;

/// Most commands that wait for one device; the oldest gives way.
pub(crate) const MAX_PER_DEVICE: usize = 1000;

/// A command as a device gets it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Command {
    pub(crate) id: ActionId,
    #[serde(skip)]
    pub(crate) device: DeviceId,
    pub(crate) command: String,
    pub(crate) arguments: Values,
    pub(crate) expires: Timestamp,
}

/// Commands that are to be handed out, by device, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    waiting: HashMap<DeviceId, VecDeque<Arc<Command>>>,
    /// Commands that are over, until they would have expired: a repeat must not bring them back.
    over: HashMap<ActionId, Timestamp>,
}

/// What a message changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The device has a new command.
    New(DeviceId),
    /// A command of the device gave way to a newer one.
    NewInsteadOf(DeviceId, ActionId),
    /// Nothing to hand out.
    Nothing,
}

impl Pending {
    /// Takes a message of the topic in.
    pub(crate) fn apply(&mut self, message: DeviceCommand, now: Timestamp) -> Change {
        match message {
            DeviceCommand::Execute {
                id,
                device,
                command,
                arguments,
                expires,
            } => {
                if expires <= now || self.over.contains_key(&id) {
                    return Change::Nothing;
                }
                let waiting = self.waiting.entry(device).or_default();
                if waiting.iter().any(|known| known.id == id) {
                    return Change::Nothing;
                }
                let crowded_out = if waiting.len() >= MAX_PER_DEVICE {
                    waiting.pop_front()
                } else {
                    None
                };
                waiting.push_back(Arc::new(Command {
                    id,
                    device,
                    command,
                    arguments,
                    expires,
                }));
                crowded_out.map_or(Change::New(device), |old| Change::NewInsteadOf(device, old.id))
            }
            DeviceCommand::Forget { id, device } => {
                self.end(device, id);
                Change::Nothing
            }
        }
    }

    /// Ends a command: it is reported or forgotten.
    pub(crate) fn end(&mut self, device: DeviceId, id: ActionId) {
        let Some(waiting) = self.waiting.get_mut(&device) else {
            return;
        };
        if let Some(at) = waiting.iter().position(|command| command.id == id)
            && let Some(command) = waiting.remove(at)
        {
            self.over.insert(id, command.expires);
        }
        if waiting.is_empty() {
            self.waiting.remove(&device);
        }
    }

    /// Returns what waits for a device, oldest first.
    pub(crate) fn of(&self, device: DeviceId, now: Timestamp) -> Vec<Arc<Command>> {
        let waiting = self.waiting.get(&device).into_iter().flatten();
        waiting.filter(|command| command.expires > now).cloned().collect()
    }

    /// Returns the number of commands that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    /// Drops what has expired.
    pub(crate) fn purge(&mut self, now: Timestamp) {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|command| command.expires > now);
            !waiting.is_empty()
        });
        self.over.retain(|_, expires| *expires > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn device() -> DeviceId {
        DeviceId::derive(&["d"])
    }

    fn id(name: &str) -> ActionId {
        ActionId::derive(&[name])
    }

    fn execute(name: &str, expires: i64) -> DeviceCommand {
        DeviceCommand::Execute {
            id: id(name),
            device: device(),
            command: "switch".to_owned(),
            arguments: Values::new(),
            expires: at(expires),
        }
    }

    fn waiting(pending: &Pending, now: i64) -> Vec<ActionId> {
        pending.of(device(), at(now)).iter().map(|command| command.id).collect()
    }

    #[test]
    fn every_message_twice_changes_nothing_more() {
        let mut pending = Pending::default();
        assert_eq!(pending.apply(execute("a", 10), at(0)), Change::New(device()));
        assert_eq!(pending.apply(execute("a", 10), at(0)), Change::Nothing);
        pending.apply(execute("b", 5), at(0));
        assert_eq!(waiting(&pending, 1), [id("a"), id("b")]);
        for _ in 0..2 {
            pending.apply(
                DeviceCommand::Forget {
                    id: id("a"),
                    device: device(),
                },
                at(1),
            );
        }
        assert_eq!(
            pending.apply(execute("a", 10), at(1)),
            Change::Nothing,
            "a repeat after the end"
        );
        assert_eq!(waiting(&pending, 1), [id("b")]);
    }

    #[test]
    fn what_has_expired_is_not_handed_out() {
        let mut pending = Pending::default();
        assert_eq!(pending.apply(execute("late", 5), at(5)), Change::Nothing);
        pending.apply(execute("a", 5), at(0));
        pending.end(device(), id("unknown"));
        assert_eq!(waiting(&pending, 5), []);
        pending.purge(at(5));
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut pending = Pending::default();
        for number in 0..MAX_PER_DEVICE {
            pending.apply(execute(&number.to_string(), 9), at(0));
        }
        assert_eq!(
            pending.apply(execute("new", 9), at(0)),
            Change::NewInsteadOf(device(), id("0"))
        );
        assert_eq!(pending.len(), MAX_PER_DEVICE);
    }

    #[test]
    fn the_body_is_what_the_protocol_says() {
        let mut pending = Pending::default();
        pending.apply(execute("a", 9), at(0));
        let body = serde_json::to_value(&*pending.of(device(), at(0))[0]).unwrap();
        let wanted = serde_json::json!({"id": id("a"), "command": "switch", "arguments": {}, "expires": "1970-01-01T00:00:09.000Z"});
        assert_eq!(body, wanted);
    }
}

//! Devices: what a command does and what is answered. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};

use common::ids::{ActionId, DeviceId};
use common::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::DeviceConfig;

/// How many answers a device remembers, to answer a repeated command in the same words.
const REMEMBERED: usize = 1000;

/// A command as it arrives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Its id: a repeat has the same.
    pub id: ActionId,
    /// What to do: `switch`.
    pub command: String,
    /// How.
    #[serde(default)]
    pub arguments: BTreeMap<String, Value>,
    /// After this moment it is void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// What a device answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// The state after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BTreeMap<String, Value>>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Answer {
    fn refused(error: impl Into<String>) -> Self {
        Self {
            ok: false,
            state: None,
            error: Some(error.into()),
        }
    }
}

/// A device and its state.
#[derive(Debug, Clone)]
pub struct Device {
    id: DeviceId,
    config: DeviceConfig,
    state: BTreeMap<String, Value>,
    answers: HashMap<ActionId, Answer>,
    order: VecDeque<ActionId>,
}

impl Device {
    /// Creates a device in its first state.
    #[must_use]
    pub fn new(config: DeviceConfig) -> Self {
        Self {
            id: config.id,
            state: config.state.clone(),
            config,
            answers: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Returns its id.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.id
    }

    /// Returns its state.
    #[must_use]
    pub fn state(&self) -> &BTreeMap<String, Value> {
        &self.state
    }

    /// Carries out a command once: a repeat gets the first answer again and changes nothing. The second part tells
    /// whether it was a repeat.
    pub fn handle(&mut self, command: &Command, now: Timestamp) -> (Answer, bool) {
        if let Some(answer) = self.answers.get(&command.id) {
            return (answer.clone(), true);
        }
        let answer = self.perform(command, now);
        self.answers.insert(command.id, answer.clone());
        self.order.push_back(command.id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
        (answer, false)
    }

    fn perform(&mut self, command: &Command, now: Timestamp) -> Answer {
        if command.expires.is_some_and(|expires| expires < now) {
            return Answer::refused("expired");
        }
        if let Some(broken) = &self.config.broken {
            return Answer::refused(broken);
        }
        if !self.config.commands.is_empty() && !self.config.commands.contains(&command.command) {
            let known: Vec<&str> = self.config.commands.iter().map(String::as_str).collect();
            return Answer::refused(format!(
                "unknown command `{}`: known are {}",
                command.command,
                known.join(", ")
            ));
        }
        self.state.extend(command.arguments.clone());
        Answer {
            ok: true,
            state: Some(self.state.clone()),
            error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fan(broken: Option<&str>) -> Device {
        Device::new(DeviceConfig {
            id: DeviceId::derive(&["fan"]),
            commands: ["switch".to_owned()].into(),
            state: [("on".to_owned(), json!(false))].into(),
            broken: broken.map(str::to_owned),
        })
    }

    fn switch(id: &str, on: bool) -> Command {
        serde_json::from_value(json!({
            "id": ActionId::derive(&[id]), "command": "switch", "arguments": {"on": on}, "expires": "2026-01-01T00:00:10Z"
        }))
        .unwrap()
    }

    #[test]
    fn a_repeat_is_answered_again_and_changes_nothing() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut device = fan(None);
        let (first, repeat) = device.handle(&switch("a", true), now);
        assert!(first.ok && !repeat);
        assert_eq!(
            device.handle(&switch("b", false), now).0.state.unwrap()["on"],
            json!(false)
        );
        assert_eq!(device.handle(&switch("a", true), now), (first, true));
        assert_eq!(device.state()["on"], json!(false));
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let late = "2026-01-01T00:01:00Z".parse().unwrap();
        let dim = Command {
            command: "dim".into(),
            ..switch("c", true)
        };
        assert_eq!(
            fan(None).handle(&dim, now).0.error.unwrap(),
            "unknown command `dim`: known are switch"
        );
        assert_eq!(fan(None).handle(&switch("a", true), late).0.error.unwrap(), "expired");
        assert_eq!(
            fan(Some("jammed")).handle(&switch("a", true), now).0.error.unwrap(),
            "jammed"
        );
    }
}

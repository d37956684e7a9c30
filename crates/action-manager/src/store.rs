//! What the action manager remembers.

use common::InstanceId;
use common::messages::action::{Command, CommandState, DeliveryState, Notification};
use runtime::Entity;
use serde::{Deserialize, Serialize};

/// A notification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// It.
    pub notification: Notification,
}

impl Entity for Told {
    const COLLECTION: &'static str = "action_manager_notifications";
    const INDEXES: &'static [&'static str] = &["waits", "minute"];

    fn index(&self) -> Vec<(&'static str, String)> {
        let notification = &self.notification;
        let waits = notification
            .deliveries
            .iter()
            .any(|delivery| matches!(delivery.state, DeliveryState::Pending { .. }));
        vec![
            ("waits", yes_or_no(waits).to_owned()),
            (
                "minute",
                minute(notification.instance, crate::storm::minute_of(notification.at)),
            ),
        ]
    }
}

/// A device command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// It.
    pub command: Command,
}

impl Entity for Asked {
    const COLLECTION: &'static str = "action_manager_commands";
    const INDEXES: &'static [&'static str] = &["open"];

    fn index(&self) -> Vec<(&'static str, String)> {
        let open = matches!(self.command.state, CommandState::Queued | CommandState::Sent);
        vec![("open", yes_or_no(open).to_owned())]
    }
}

/// Value of a yes-or-no index.
#[must_use]
pub fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// Value of the index `minute`: the notifications of an instance in one minute.
#[must_use]
pub fn minute(instance: InstanceId, minute: i64) -> String {
    format!("{instance}/{minute}")
}

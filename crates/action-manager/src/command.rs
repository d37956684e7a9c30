//! What becomes of a device command. Pure.

use common::Timestamp;
use common::messages::action::{Command, CommandState, DeviceCommand, DeviceEvent};

/// Returns the name of a state, for metrics.
#[must_use]
pub fn name(state: &CommandState) -> &'static str {
    match state {
        CommandState::Queued => "queued",
        CommandState::Sent => "sent",
        CommandState::Acknowledged { .. } => "acknowledged",
        CommandState::Failed { .. } => "failed",
        CommandState::Expired => "expired",
    }
}

/// Whether a state is the last.
#[must_use]
pub fn is_final(state: &CommandState) -> bool {
    !matches!(state, CommandState::Queued | CommandState::Sent)
}

/// Returns the command after what a device or its connector said; none when that changes nothing: it is about another device, the
/// command is over, or it was said before.
#[must_use]
pub fn after_report(command: &Command, event: &DeviceEvent) -> Option<Command> {
    let (device, state, at) = match event {
        DeviceEvent::Sent { device, at, .. } => (device, CommandState::Sent, at),
        DeviceEvent::Acknowledged {
            device, reported, at, ..
        } => (
            device,
            CommandState::Acknowledged {
                reported: reported.clone(),
            },
            at,
        ),
        DeviceEvent::Failed { device, why, at, .. } => (device, CommandState::Failed { why: why.clone() }, at),
    };
    if *device != command.device || is_final(&command.state) || command.state == state {
        return None;
    }
    Some(entered(command, state, *at))
}

/// Returns the command after its time has run out; none when it has not, or it is over.
#[must_use]
pub fn after_expiry(command: &Command, now: Timestamp) -> Option<Command> {
    let runs_out = !is_final(&command.state) && command.expires <= now;
    runs_out.then(|| entered(command, CommandState::Expired, now))
}

fn entered(command: &Command, state: CommandState, since: Timestamp) -> Command {
    Command {
        state,
        since,
        ..command.clone()
    }
}

/// Returns what its device's connector is told of a command that has just entered its state.
#[must_use]
pub fn to_device(command: &Command) -> Option<DeviceCommand> {
    match command.state {
        CommandState::Queued => Some(DeviceCommand::Execute {
            id: command.id,
            device: command.device,
            command: command.command.clone(),
            arguments: command.arguments.clone(),
            expires: command.expires,
        }),
        CommandState::Sent => None,
        _ => Some(DeviceCommand::Forget {
            id: command.id,
            device: command.device,
        }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use common::messages::action::Origin;
    use common::{ActionId, DeviceId, InstanceId};

    pub(crate) fn queued() -> Command {
        let at = Timestamp::from_millis(1_000_000);
        Command {
            id: ActionId::new(),
            origin: Origin::Instance {
                instance: InstanceId::new(),
            },
            device: DeviceId::new(),
            command: "switch".to_owned(),
            arguments: BTreeMap::new(),
            state: CommandState::Queued,
            at,
            since: at,
            expires: at.plus_millis(60_000),
            version: 1,
        }
    }

    fn reports(command: &Command) -> [DeviceEvent; 3] {
        let (command, device) = (command.id, command.device);
        let at = Timestamp::from_millis(1_001_000);
        [
            DeviceEvent::Sent { command, device, at },
            DeviceEvent::Acknowledged {
                command,
                device,
                reported: BTreeMap::new(),
                at,
            },
            DeviceEvent::Failed {
                command,
                device,
                why: "jammed".to_owned(),
                at,
            },
        ]
    }

    #[test]
    fn states_follow_each_other_once() {
        let command = queued();
        let [sent, acknowledged, failed] = reports(&command);
        let handed = after_report(&command, &sent).unwrap();
        assert_eq!(handed.state, CommandState::Sent);
        assert_eq!(to_device(&handed), None);
        assert_eq!(after_report(&handed, &sent), None, "said before");
        let done = after_report(&handed, &acknowledged).unwrap();
        assert_eq!(name(&done.state), "acknowledged");
        assert!(matches!(to_device(&done), Some(DeviceCommand::Forget { .. })));
        for late in [&sent, &acknowledged, &failed] {
            assert_eq!(after_report(&done, late), None, "it is over");
        }
        assert_eq!(name(&after_report(&command, &failed).unwrap().state), "failed");
    }

    #[test]
    fn time_runs_out_only_of_what_is_open() {
        let command = queued();
        assert_eq!(after_expiry(&command, command.expires.plus_millis(-1)), None);
        let expired = after_expiry(&command, command.expires).unwrap();
        assert_eq!(expired.state, CommandState::Expired);
        assert_eq!(after_expiry(&expired, command.expires), None);
        let [_, acknowledged, _] = reports(&command);
        assert_eq!(after_report(&expired, &acknowledged), None, "too late");
    }

    #[test]
    fn another_devices_report_is_not_believed() {
        let command = queued();
        let mut stranger = command.clone();
        stranger.device = DeviceId::new();
        for report in reports(&stranger) {
            assert_eq!(after_report(&command, &report), None);
        }
    }
}

//! What a device says of a command: from its bytes to `device.events`. Pure.

use std::collections::BTreeMap;

use common::messages::action::DeviceEvent;
use common::{ActionId, DeviceId, Envelope, MessageId, Timestamp};
use serde::Deserialize;
use serde_json::Value;

/// Largest report, in bytes.
pub(crate) const MAX_BYTES: usize = 16 * 1024;
/// Longest reason, in characters.
const MAX_WHY: usize = 500;

/// A report as the protocol says.
#[derive(Debug, Deserialize)]
struct Report {
    ok: bool,
    #[serde(default)]
    state: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    error: Option<String>,
}

/// Reads a report.
///
/// # Errors
/// When it is none; the text says what was found and what is allowed.
pub(crate) fn read(payload: &[u8], device: DeviceId, command: ActionId, at: Timestamp) -> Result<DeviceEvent, String> {
    const ALLOWED: &str =
        "allowed are {\"ok\": true, \"state\": {\"on\": true}} and {\"ok\": false, \"error\": \"jammed\"}";
    if payload.len() > MAX_BYTES {
        return Err(format!(
            "the report has {} bytes; allowed are {MAX_BYTES}",
            payload.len()
        ));
    }
    let report: Report =
        serde_json::from_slice(payload).map_err(|error| format!("the report can not be read ({error}); {ALLOWED}"))?;
    Ok(if report.ok {
        DeviceEvent::Acknowledged {
            command,
            device,
            reported: report.state.unwrap_or_default(),
            at,
        }
    } else {
        let why = report.error.unwrap_or_else(|| "the device gave no reason".to_owned());
        DeviceEvent::Failed {
            command,
            device,
            why: why.chars().take(MAX_WHY).collect(),
            at,
        }
    })
}

/// Says that the device's connector has a command.
pub(crate) fn sent(device: DeviceId, command: ActionId, at: Timestamp) -> DeviceEvent {
    DeviceEvent::Sent { command, device, at }
}

/// Wraps an event with an id derived from the command: a repeat is recognised, and of two different reports of one
/// command the first holds.
pub(crate) fn envelope(source: &str, event: DeviceEvent) -> Envelope<DeviceEvent> {
    let (kind, command, device, at) = match &event {
        DeviceEvent::Sent { command, device, at } => ("sent", command, device, *at),
        DeviceEvent::Acknowledged {
            command, device, at, ..
        }
        | DeviceEvent::Failed {
            command, device, at, ..
        } => ("reported", command, device, *at),
    };
    let id = MessageId::derive(&["device.events", kind, &device.to_string(), &command.to_string()]);
    Envelope::first(id, source, at, event)
}

/// Returns the command that an event ends, and its device.
pub(super) fn ends(event: &DeviceEvent) -> Option<(DeviceId, ActionId)> {
    match event {
        DeviceEvent::Acknowledged { command, device, .. } | DeviceEvent::Failed { command, device, .. } => {
            Some((*device, *command))
        }
        DeviceEvent::Sent { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(payload: &str) -> Result<DeviceEvent, String> {
        let (device, command) = (DeviceId::derive(&["d"]), ActionId::derive(&["c"]));
        read(payload.as_bytes(), device, command, Timestamp::from_millis(0))
    }

    #[test]
    fn done_and_failed() {
        let DeviceEvent::Acknowledged { reported, .. } = parse(r#"{"ok": true, "state": {"on": true}}"#).unwrap()
        else {
            panic!("not acknowledged");
        };
        assert_eq!(reported["on"], Value::Bool(true));
        assert!(
            matches!(parse(r#"{"ok": true}"#), Ok(DeviceEvent::Acknowledged { reported, .. }) if reported.is_empty())
        );
        assert!(
            matches!(parse(r#"{"ok": false, "error": "jammed"}"#), Ok(DeviceEvent::Failed { why, .. }) if why == "jammed")
        );
        assert!(matches!(parse(r#"{"ok": false}"#), Ok(DeviceEvent::Failed { why, .. }) if why.contains("no reason")));
    }

    #[test]
    fn refusals_say_what_is_allowed() {
        for payload in ["", "true", "{}", r#"{"ok": 1}"#, r#"{"ok": true, "state": 5}"#] {
            assert!(parse(payload).unwrap_err().contains("allowed are {\"ok\""), "{payload}");
        }
        assert!(parse(&"x".repeat(MAX_BYTES + 1)).unwrap_err().contains("16385 bytes"));
    }

    #[test]
    fn ids_are_derived_from_the_command() {
        let id = |payload| envelope("s", parse(payload).unwrap()).id;
        assert_eq!(id(r#"{"ok": true}"#), id(r#"{"ok": false}"#));
        let (device, command) = (DeviceId::derive(&["d"]), ActionId::derive(&["c"]));
        assert_ne!(
            id(r#"{"ok": true}"#),
            envelope("s", sent(device, command, Timestamp::from_millis(0))).id
        );
    }
}

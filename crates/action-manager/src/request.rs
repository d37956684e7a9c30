//! Whether an application may ask for an action, and which requests it makes. Pure.

use common::manifest::{ThingKind, Values};
use common::messages::action::{ActionRequest, Origin, Severity};
use common::messages::binding::{BindingState, BoundMember};
use common::messages::registry::CommandSpec;
use common::rules::parameters;
use common::{ActionId, DeviceId, InstanceId, Timestamp};
use serde::Deserialize;

use crate::view::Known;

/// Time in which a command is worth doing when the application does not say, in seconds.
pub const DEFAULT_EXPIRY_SECONDS: u64 = 60;
/// Longest time in which a command may be worth doing, in seconds.
pub const LONGEST_EXPIRY_SECONDS: u64 = 24 * 3600;
/// Longest title of a notification, in characters.
const LONGEST_TITLE: usize = 200;
/// Longest text of a notification, in characters.
const LONGEST_TEXT: usize = 10_000;

/// A notification as an application sends it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationBody {
    /// One line.
    pub title: String,
    /// The rest.
    #[serde(default)]
    pub text: String,
    /// How much it matters.
    #[serde(default = "info")]
    pub severity: Severity,
}

fn info() -> Severity {
    Severity::Info
}

/// A command as an application sends it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandBody {
    /// The slot; the command goes to each device bound to it.
    pub slot: String,
    /// Only to this device of the slot.
    #[serde(default)]
    pub device: Option<DeviceId>,
    /// Command of the devices' type.
    pub command: String,
    /// Arguments.
    #[serde(default)]
    pub arguments: Values,
    /// Seconds from now in which it is worth doing.
    #[serde(default)]
    pub expires_seconds: Option<u64>,
}

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The caller's time is over: it must end.
    Fenced(String),
    /// It can never be carried out: what was found, what is allowed.
    Invalid(String),
    /// Try again with the same key.
    NotYet(String),
}

/// Checks whether the process that holds a session may still act.
///
/// # Errors
/// [`Refused::Fenced`] when a newer session exists or the instance is over.
pub fn may_act(known: &Known, instance: InstanceId, shard: u32, session: u64) -> Result<(), Refused> {
    if known.instances.get(&instance).is_some_and(|facts| facts.over) {
        return Err(Refused::Fenced("the instance is over".to_owned()));
    }
    // A newer session than is known here is on its way: it was opened before its holder could act.
    match known.sessions.get(&(instance, shard)) {
        Some(newest) if *newest > session => Err(Refused::Fenced(format!(
            "session {session} is over: session {newest} acts for this instance"
        ))),
        _ => Ok(()),
    }
}

/// Makes the request of a notification.
///
/// # Errors
/// When title or text do not fit.
pub fn notification(
    instance: InstanceId,
    key: &str,
    body: NotificationBody,
    now: Timestamp,
) -> Result<ActionRequest, Refused> {
    let title = body.title.trim();
    let length = title.chars().count();
    if length == 0 || length > LONGEST_TITLE || title.chars().any(char::is_control) {
        return Err(Refused::Invalid(format!(
            "`title` has {length} characters; allowed is one line of 1 to {LONGEST_TITLE}"
        )));
    }
    let length = body.text.chars().count();
    if length > LONGEST_TEXT {
        return Err(Refused::Invalid(format!(
            "`text` has {length} characters; allowed are up to {LONGEST_TEXT}"
        )));
    }
    Ok(ActionRequest::Notify {
        id: ActionId::derive(&["notification", &instance.to_string(), key]),
        instance,
        title: title.to_owned(),
        text: body.text,
        severity: body.severity,
        at: now,
    })
}

/// Makes the requests of a command: one for each device.
///
/// # Errors
/// When slot, device, command or arguments are not known or do not fit, or the binding is not known yet.
pub fn commands(
    known: &Known,
    instance: InstanceId,
    key: &str,
    body: &CommandBody,
    now: Timestamp,
) -> Result<Vec<ActionRequest>, Refused> {
    let members = members(known, instance, body)?;
    let seconds = body.expires_seconds.unwrap_or(DEFAULT_EXPIRY_SECONDS);
    if !(1..=LONGEST_EXPIRY_SECONDS).contains(&seconds) {
        return Err(Refused::Invalid(format!(
            "`expires_seconds` is {seconds}; allowed are 1 to {LONGEST_EXPIRY_SECONDS}"
        )));
    }
    let expires = now.plus_millis(i64::try_from(seconds * 1000).unwrap_or(i64::MAX));
    members
        .into_iter()
        .map(|member| {
            let device = DeviceId::from_uuid(member.id);
            Ok(ActionRequest::Command {
                id: ActionId::derive(&["command", &instance.to_string(), key, &device.to_string()]),
                origin: Origin::Instance { instance },
                device,
                arguments: arguments(known, &member.type_name, &body.command, &body.arguments)
                    .map_err(Refused::Invalid)?,
                command: body.command.clone(),
                at: now,
                expires,
            })
        })
        .collect()
}

fn members<'a>(known: &'a Known, instance: InstanceId, body: &CommandBody) -> Result<Vec<&'a BoundMember>, Refused> {
    let slots = match known.bindings.get(&instance).map(|binding| &binding.state) {
        Some(BindingState::Bound { slots }) => slots,
        Some(BindingState::Unsatisfied { missing }) => {
            let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            return Err(Refused::NotYet(format!(
                "the application is not bound now: {}",
                missing.join("; ")
            )));
        }
        Some(BindingState::Released) | None => {
            return Err(Refused::NotYet(
                "the binding of the application is not known yet".to_owned(),
            ));
        }
    };
    let devices = || slots.iter().filter(|(_, slot)| slot.kind == ThingKind::Device);
    let slot = devices()
        .find(|(name, _)| **name == body.slot)
        .map(|(_, slot)| slot)
        .ok_or_else(|| {
            let names: Vec<&str> = devices().map(|(name, _)| name.as_str()).collect();
            Refused::Invalid(format!(
                "`{}` is not a slot for devices; there are: {}",
                body.slot,
                list(&names)
            ))
        })?;
    let Some(device) = body.device else {
        if slot.members.is_empty() {
            return Err(Refused::Invalid(format!("no device is bound to `{}`", body.slot)));
        }
        return Ok(slot.members.iter().collect());
    };
    let member = slot.members.iter().find(|member| member.id == device.uuid());
    member.map(|member| vec![member]).ok_or_else(|| {
        let ids: Vec<String> = slot
            .members
            .iter()
            .map(|member| format!("{} ({})", member.id, member.name))
            .collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        Refused::Invalid(format!(
            "device {device} is not bound to `{}`; bound are: {}",
            body.slot,
            list(&ids)
        ))
    })
}

/// Checks a command of a device type and fills defaults in.
///
/// # Errors
/// What was found and what is allowed.
pub fn arguments(known: &Known, type_name: &str, command: &str, given: &Values) -> Result<Values, String> {
    let commands = known
        .types
        .get(type_name)
        .ok_or_else(|| format!("the device type `{type_name}` is not registered any more"))?;
    let spec: &CommandSpec = commands.get(command).ok_or_else(|| {
        let names: Vec<&str> = commands.keys().map(String::as_str).collect();
        format!("`{type_name}` has no command `{command}`; it has: {}", list(&names))
    })?;
    parameters::check(&spec.arguments, given).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(|problem| format!("arguments.{problem}")).collect();
        problems.join("; ")
    })
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

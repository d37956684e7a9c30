//! Whether a change of the registry may be made. Pure.

use common::LocationId;
use common::manifest::ThingKind;
use common::messages::operation::Refusal;
use common::messages::registry::{Connector, Entry, Location, Type};
use common::names::Slug;
use common::rules::matching::MAX_DEPTH;

/// Characters of a name at most.
const NAME: usize = 80;

/// What an entry refers to and who refers to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Surroundings {
    /// The type that a sensor or device names, where it exists.
    pub type_: Option<Type>,
    /// Whether the location exists.
    pub location: bool,
    /// Whether the connector exists.
    pub connector: bool,
    /// The locations above a location.
    pub above: Above,
    /// Names of other locations with the same parent, as far as they matter: those that are like its own.
    pub siblings: Vec<String>,
    /// Who refers to the entry, in words.
    pub users: Vec<String>,
}

/// The locations above a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Above {
    /// From the parent to the root.
    Chain(Vec<LocationId>),
    /// One of them does not exist.
    Gap,
}

impl Default for Above {
    fn default() -> Self {
        Self::Chain(Vec::new())
    }
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    /// Kind of refusal.
    pub reason: Refusal,
    /// For the person.
    pub detail: String,
}

fn invalid(detail: impl Into<String>) -> Refused {
    Refused {
        reason: Refusal::Invalid,
        detail: detail.into(),
    }
}

fn conflict(detail: impl Into<String>) -> Refused {
    Refused {
        reason: Refusal::Conflict,
        detail: detail.into(),
    }
}

/// Decides on creating or replacing an entry; returns it with its version.
///
/// # Errors
/// When another change came first or the values do not fit.
pub fn put(
    current: Option<&Entry>,
    mut wanted: Entry,
    expected: Option<u64>,
    around: &Surroundings,
    version: u64,
) -> Result<Entry, Refused> {
    match (current, expected) {
        (None, None) => {}
        (Some(_), None) => return Err(conflict(format!("{} exists already", described(&wanted)))),
        (None, Some(_)) => {
            return Err(Refused {
                reason: Refusal::NotFound,
                detail: format!("there is no {}", described(&wanted)),
            });
        }
        (Some(current), Some(expected)) if current.version() != expected => {
            return Err(conflict(format!(
                "{} has changed meanwhile (version {expected} was expected, it is {}); load it again",
                described(current),
                current.version()
            )));
        }
        (Some(_), Some(_)) => {}
    }
    match &wanted {
        Entry::Type(entry) => check_type(current, entry, around)?,
        Entry::Location(entry) => check_location(entry, around)?,
        Entry::Connector(entry) => check_connector(entry, around)?,
        Entry::Sensor(entry) => check_thing(ThingKind::Sensor, &entry.name, &entry.type_name, around)?,
        Entry::Device(entry) => check_thing(ThingKind::Device, &entry.name, &entry.type_name, around)?,
    }
    wanted.set_version(version);
    Ok(wanted)
}

/// Decides on deleting an entry.
///
/// # Errors
/// When there is none or others refer to it.
pub fn delete(current: Option<&Entry>, users: &[String]) -> Result<(), Refused> {
    let Some(current) = current else {
        return Err(Refused {
            reason: Refusal::NotFound,
            detail: "there is no such entry in the registry".to_owned(),
        });
    };
    if users.is_empty() {
        return Ok(());
    }
    let named = users.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let more = match users.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(conflict(format!(
        "{} is used by {named}{more}; move or delete these first",
        described(current)
    )))
}

fn described(entry: &Entry) -> String {
    match entry {
        Entry::Type(entry) => format!("type `{}`", entry.name),
        Entry::Location(entry) => format!("location `{}`", entry.name),
        Entry::Connector(entry) => format!("connector `{}`", entry.name),
        Entry::Sensor(entry) => format!("sensor `{}`", entry.name),
        Entry::Device(entry) => format!("device `{}`", entry.name),
    }
}

fn check_name(what: &str, name: &str) -> Result<(), Refused> {
    let fits =
        !name.is_empty() && name.trim() == name && name.chars().count() <= NAME && !name.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    let found: String = name.chars().take(NAME).collect();
    Err(invalid(format!(
        "{what} is `{found}`; allowed are 1 to {NAME} characters without spaces at the ends"
    )))
}

fn check_type(current: Option<&Entry>, entry: &Type, around: &Surroundings) -> Result<(), Refused> {
    check_name("the title", &entry.title)?;
    if let Some(Entry::Type(before)) = current
        && before.kind != entry.kind
        && !around.users.is_empty()
    {
        return Err(conflict(format!(
            "type `{}` is used by {}; its kind can not change",
            entry.name,
            around.users.join(", ")
        )));
    }
    match entry.kind {
        ThingKind::Sensor if entry.properties.is_empty() => {
            return Err(invalid("a sensor type needs at least one property that it measures"));
        }
        ThingKind::Sensor if !entry.commands.is_empty() => {
            return Err(invalid("a sensor type takes no commands; make it a device type"));
        }
        ThingKind::Device if !entry.properties.is_empty() => {
            return Err(invalid("a device type measures nothing; make it a sensor type"));
        }
        ThingKind::Sensor | ThingKind::Device => {}
    }
    for (name, property) in &entry.properties {
        check_word("property", name)?;
        check_range(name, property.minimum, property.maximum)?;
    }
    for (name, command) in &entry.commands {
        check_word("command", name)?;
        for (argument, spec) in &command.arguments {
            check_word("argument", argument)?;
            check_range(argument, spec.minimum, spec.maximum)?;
        }
    }
    if entry.expected_interval_seconds == Some(0) {
        return Err(invalid(
            "the expected interval is 0 seconds; allowed are 1 and more, or none",
        ));
    }
    Ok(())
}

fn check_word(what: &str, name: &str) -> Result<(), Refused> {
    let fits = (1..=40).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fits {
        return Ok(());
    }
    let found: String = name.chars().take(40).collect();
    Err(invalid(format!(
        "{what} `{found}` is not a name; allowed are 1 to 40 letters, digits, `_` and `-`, beginning with a letter"
    )))
}

fn check_range(name: &str, minimum: Option<f64>, maximum: Option<f64>) -> Result<(), Refused> {
    match (minimum, maximum) {
        (Some(minimum), Some(maximum)) if minimum > maximum => Err(invalid(format!(
            "`{name}` has the minimum {minimum} above its maximum {maximum}"
        ))),
        _ => Ok(()),
    }
}

fn check_location(entry: &Location, around: &Surroundings) -> Result<(), Refused> {
    check_name("the name", &entry.name)?;
    check_name("the kind", &entry.kind)?;
    if entry.name.contains(" / ") {
        return Err(invalid(
            "a location's name can not contain ` / `, which separates names in paths",
        ));
    }
    match &around.above {
        Above::Gap => return Err(invalid("the location above does not exist")),
        Above::Chain(chain) if chain.contains(&entry.id) || entry.parent == Some(entry.id) => {
            return Err(invalid(format!(
                "location `{}` can not be placed below itself",
                entry.name
            )));
        }
        Above::Chain(chain) if chain.len() >= MAX_DEPTH => {
            return Err(invalid(format!("locations have at most {MAX_DEPTH} levels")));
        }
        Above::Chain(_) => {}
    }
    if around.siblings.contains(&entry.name) {
        return Err(conflict(format!(
            "there is a location `{}` beside it already",
            entry.name
        )));
    }
    Ok(())
}

fn check_connector(entry: &Connector, around: &Surroundings) -> Result<(), Refused> {
    check_name("the name", &entry.name)?;
    if !around.location {
        return Err(invalid("its location does not exist"));
    }
    let hex = entry.secret_sha256.len() == 64 && entry.secret_sha256.bytes().all(|b| b.is_ascii_hexdigit());
    if !hex {
        return Err(invalid("the connector's secret is not a SHA-256 in hex"));
    }
    Ok(())
}

fn check_thing(kind: ThingKind, name: &str, type_name: &Slug, around: &Surroundings) -> Result<(), Refused> {
    check_name("the name", name)?;
    let word = |kind| match kind {
        ThingKind::Sensor => "sensor",
        ThingKind::Device => "device",
    };
    match &around.type_ {
        None => {
            return Err(invalid(format!(
                "type `{type_name}` does not exist; register it first or choose another"
            )));
        }
        Some(found) if found.kind != kind => {
            return Err(invalid(format!(
                "`{type_name}` is a {} type; a {} type is needed",
                word(found.kind),
                word(kind)
            )));
        }
        Some(_) => {}
    }
    if !around.location {
        return Err(invalid("its location does not exist"));
    }
    if !around.connector {
        return Err(invalid("its connector does not exist"));
    }
    Ok(())
}

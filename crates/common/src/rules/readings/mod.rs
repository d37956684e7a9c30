//! What a sender's payload says and whether it can be true.
//!
//! [`parse`] knows the formats (a number, `{"value"}`, `{"values"}`, arrays of those, SenML packs), [`check`] knows the
//! sensor's type. A payload that can not be understood is refused as a whole; a reading that can not be true is refused by itself.

mod senml;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::messages::reading::Reading;
use crate::messages::registry::{Property, Type};
use crate::{SensorId, Timestamp};

/// Most readings in one payload.
pub const MAX_READINGS: usize = 1000;
/// Most values in one reading.
pub const MAX_VALUES: usize = 100;
/// How far the sender's clock may be ahead, in milliseconds.
pub const MAX_AHEAD_MS: i64 = 3_600_000;
/// Name that stands for the only property of the type.
pub const VALUE: &str = "value";

/// What is allowed, for messages.
const ALLOWED: &str = "allowed are a number, {\"value\": 21.5}, {\"values\": {\"temperature\": 21.5}} with `time`, `boot` and `seq` if wanted, an array of those, or a SenML pack";

/// A reading as the sender wrote it; nothing is known of its sensor yet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RawReading {
    /// Property → number; `value` may stand for the only property of the type.
    pub values: BTreeMap<String, f64>,
    /// Property → unit, where the sender named one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, String>,
    /// When it was measured.
    pub time: RawTime,
    /// Boot of the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<u64>,
    /// Number within the boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// When a reading was measured, as the sender said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RawTime {
    /// Not said: the moment of its arrival.
    Arrival,
    /// At this moment.
    At(Timestamp),
    /// So many milliseconds after its arrival (negative: before).
    Offset(i64),
}

/// Reads a payload. `content_type` is the sender's word, if any; only `application/senml+json` makes a difference, other
/// JSON is recognised by itself.
///
/// # Errors
/// When it is none of the formats; the text says what was found and what is allowed.
pub fn parse(payload: &[u8], content_type: Option<&str>) -> Result<Vec<RawReading>, String> {
    if payload.iter().all(u8::is_ascii_whitespace) {
        return Err(format!("the payload is empty; {ALLOWED}"));
    }
    let media = content_type.map(|text| text.split(';').next().unwrap_or(text).trim().to_ascii_lowercase());
    if let Some(media) = &media
        && media.contains("senml")
        && media != "application/senml+json"
    {
        return Err(format!(
            "content type {} can not be read; of SenML only application/senml+json is allowed",
            shown(media)
        ));
    }
    let document: Value = serde_json::from_slice(payload).map_err(|error| {
        let found = shown(&String::from_utf8_lossy(payload));
        format!("the payload {found} is not valid JSON ({error}); {ALLOWED}")
    })?;
    match document {
        Value::Array(records) if media.as_deref() == Some("application/senml+json") || senml::looks_like(&records) => {
            senml::parse(&records)
        }
        _ if media.as_deref() == Some("application/senml+json") => Err(format!(
            "a SenML pack is an array of objects, found {}",
            kind(&document)
        )),
        Value::Array(items) => array(&items),
        item => Ok(vec![reading(&item)?]),
    }
}

fn array(items: &[Value]) -> Result<Vec<RawReading>, String> {
    if items.is_empty() {
        return Err(format!("the array is empty; {ALLOWED}"));
    }
    if items.len() > MAX_READINGS {
        return Err(format!(
            "the array has {} readings; allowed are at most {MAX_READINGS} in one payload",
            items.len()
        ));
    }
    let count = items.len();
    items
        .iter()
        .enumerate()
        .map(|(index, item)| reading(item).map_err(|error| format!("reading {} of {count}: {error}", index + 1)))
        .collect()
}

fn reading(item: &Value) -> Result<RawReading, String> {
    match item {
        Value::Object(members) => object(members),
        Value::Number(_) | Value::Bool(_) => Ok(RawReading {
            values: BTreeMap::from([(VALUE.to_owned(), number(VALUE, item)?)]),
            units: BTreeMap::new(),
            time: RawTime::Arrival,
            boot: None,
            seq: None,
        }),
        other => Err(format!("found {}; {ALLOWED}", kind(other))),
    }
}

fn object(members: &Map<String, Value>) -> Result<RawReading, String> {
    for name in members.keys() {
        if !matches!(name.as_str(), "value" | "values" | "time" | "boot" | "seq") {
            return Err(format!(
                "unknown member `{}`; allowed are value, values, time, boot and seq",
                shown(name)
            ));
        }
    }
    let values = match (members.get("value"), members.get("values")) {
        (Some(value), None) => BTreeMap::from([(VALUE.to_owned(), number(VALUE, value)?)]),
        (None, Some(Value::Object(values))) => numbers(values)?,
        (None, Some(other)) => {
            return Err(format!(
                "`values` is {}; allowed is an object of property and number, such as {{\"temperature\": 21.5}}",
                kind(other)
            ));
        }
        (Some(_), Some(_)) => return Err("found both `value` and `values`; allowed is one of them".to_owned()),
        (None, None) => return Err(format!("neither `value` nor `values` is there; {ALLOWED}")),
    };
    Ok(RawReading {
        values,
        units: BTreeMap::new(),
        time: time(members.get("time"))?,
        boot: count("boot", members.get("boot"))?,
        seq: count("seq", members.get("seq"))?,
    })
}

fn numbers(values: &Map<String, Value>) -> Result<BTreeMap<String, f64>, String> {
    if values.is_empty() || values.len() > MAX_VALUES {
        return Err(format!(
            "`values` has {} properties; allowed are 1 to {MAX_VALUES}",
            values.len()
        ));
    }
    values
        .iter()
        .map(|(name, value)| Ok((name.clone(), number(name, value)?)))
        .collect()
}

/// Reads a number; true and false are 1 and 0.
fn number(name: &str, value: &Value) -> Result<f64, String> {
    match value {
        Value::Bool(truth) => Ok(f64::from(u8::from(*truth))),
        Value::Number(number) => number
            .as_f64()
            .filter(|number| number.is_finite())
            .ok_or_else(|| format!("`{}` is {number}, which is too large for a number", shown(name))),
        other => Err(format!(
            "`{}` is {}; allowed is a number (or true and false for 1 and 0)",
            shown(name),
            kind(other)
        )),
    }
}

fn time(value: Option<&Value>) -> Result<RawTime, String> {
    let allowed = "allowed is an RFC 3339 time such as 2026-01-31T08:00:00Z";
    match value {
        None | Some(Value::Null) => Ok(RawTime::Arrival),
        Some(Value::String(text)) => text
            .parse()
            .map(RawTime::At)
            .map_err(|_| format!("`time` is `{}`; {allowed}", shown(text))),
        Some(other) => Err(format!("`time` is {}; {allowed}", kind(other))),
    }
}

/// Reads a whole number; some languages can only write large ones as text.
fn count(name: &str, value: Option<&Value>) -> Result<Option<u64>, String> {
    let found = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(count) => return Ok(Some(count)),
            None => number.to_string(),
        },
        Some(Value::String(text)) => match text.parse() {
            Ok(count) => return Ok(Some(count)),
            Err(_) => format!("`{}`", shown(text)),
        },
        Some(other) => kind(other).to_owned(),
    };
    Err(format!(
        "`{name}` is {found}; allowed is a whole number from 0 to {}",
        u64::MAX
    ))
}

/// Decides whether a reading can be true for a sensor of that type.
///
/// # Errors
/// When it can not; the text says what was found and what is allowed.
pub fn check(raw: &RawReading, kind: &Type, sensor: SensorId, received: Timestamp) -> Result<Reading, String> {
    let time = match raw.time {
        RawTime::Arrival => received,
        RawTime::At(time) => time,
        RawTime::Offset(millis) => received.plus_millis(millis),
    };
    if time.millis_since(received) > MAX_AHEAD_MS {
        return Err(format!(
            "the time {time} is in the future (it arrived at {received}); allowed is at most 1 h ahead: check the sender's clock"
        ));
    }
    let mut values = BTreeMap::new();
    for (name, value) in &raw.values {
        let (name, property) = property(kind, name)?;
        let unit = raw.units.get(name).or_else(|| raw.units.get(VALUE));
        fits(name, *value, unit, property)?;
        if values.insert(name.clone(), *value).is_some() {
            return Err(format!("`{name}` is there twice, once as `{VALUE}`; allowed is once"));
        }
    }
    if values.is_empty() {
        return Err("the reading has no value; allowed is at least one".to_owned());
    }
    Ok(Reading {
        sensor,
        boot: raw.boot,
        seq: raw.seq,
        time,
        received,
        values,
    })
}

fn property<'a>(kind: &'a Type, name: &str) -> Result<(&'a String, &'a Property), String> {
    if let Some(found) = kind.properties.get_key_value(name) {
        return Ok(found);
    }
    let names = || {
        let names: Vec<&str> = kind.properties.keys().map(String::as_str).collect();
        names.join(", ")
    };
    let mut all = kind.properties.iter();
    match (all.next(), all.next()) {
        (None, _) => Err(format!("type {} measures nothing; give it a property first", kind.name)),
        (Some(only), None) if name == VALUE => Ok(only),
        (Some(_), Some(_)) if name == VALUE => Err(format!(
            "`{VALUE}` does not say which property; a sensor of type {} measures {}",
            kind.name,
            names()
        )),
        _ => Err(format!(
            "unknown property `{}`; a sensor of type {} measures {}",
            shown(name),
            kind.name,
            names()
        )),
    }
}

fn fits(name: &str, value: f64, unit: Option<&String>, property: &Property) -> Result<(), String> {
    if let (Some(found), Some(wanted)) = (unit, &property.unit)
        && found != wanted
    {
        return Err(format!("`{name}` is in {}; allowed is {wanted}", shown(found)));
    }
    if !value.is_finite() {
        return Err(format!("`{name}` is {value}; allowed are finite numbers"));
    }
    let below = property.minimum.is_some_and(|minimum| value < minimum);
    let above = property.maximum.is_some_and(|maximum| value > maximum);
    if !below && !above {
        return Ok(());
    }
    let range = match (property.minimum, property.maximum) {
        (Some(minimum), Some(maximum)) => format!("{minimum} to {maximum}"),
        (Some(minimum), None) => format!("{minimum} and more"),
        (_, maximum) => format!("at most {}", maximum.unwrap_or(f64::MAX)),
    };
    let unit = property
        .unit
        .as_ref()
        .map(|unit| format!(" {unit}"))
        .unwrap_or_default();
    Err(format!("`{name}` is {value}, out of range; allowed is {range}{unit}"))
}

/// Shortens what the sender wrote for a message.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;

//! SenML (RFC 8428): packs of records with base values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{MAX_READINGS, MAX_VALUES, RawReading, RawTime, VALUE, kind, number, shown};
use crate::Timestamp;

/// Times below this many seconds are relative to now (RFC 8428, 4.5.3).
const RELATIVE_BELOW: f64 = 268_435_456.0;
/// The version of SenML that RFC 8428 is.
const VERSION: f64 = 10.0;

const KNOWN: [&str; 15] = [
    "bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut",
];

/// Whether an array of JSON is a pack: its first record has a field that only SenML has.
pub(super) fn looks_like(records: &[Value]) -> bool {
    let Some(Value::Object(first)) = records.first() else {
        return false;
    };
    ["bn", "n", "bt", "bu", "bv", "v", "vb"]
        .iter()
        .any(|field| first.contains_key(*field))
}

/// What holds until a record says otherwise.
#[derive(Default)]
struct Base {
    name: String,
    time: f64,
    unit: Option<String>,
    value: f64,
}

/// Resolves a pack; records of the same time become one reading.
pub(super) fn parse(records: &[Value]) -> Result<Vec<RawReading>, String> {
    let count = records.len();
    let mut base = Base::default();
    let mut readings: Vec<RawReading> = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let at = |error: String| format!("SenML record {} of {count}: {error}", index + 1);
        let Value::Object(fields) = record else {
            return Err(at(format!("found {}; allowed is an object", kind(record))));
        };
        base.update(fields).map_err(at)?;
        let Some(value) = base.value_of(fields).map_err(at)? else {
            continue;
        };
        let name = base.property(fields).map_err(at)?;
        let time = base.time_of(fields).map_err(at)?;
        let unit = text("u", fields.get("u")).map_err(at)?.or_else(|| base.unit.clone());
        add(&mut readings, name, value, unit, time);
    }
    if readings.is_empty() {
        return Err("the SenML pack has no value; allowed is at least one record with `v` or `vb`".to_owned());
    }
    if readings.len() > MAX_READINGS {
        return Err(format!(
            "the SenML pack has {} readings; allowed are at most {MAX_READINGS} in one payload",
            readings.len()
        ));
    }
    Ok(readings)
}

fn add(readings: &mut Vec<RawReading>, name: String, value: f64, unit: Option<String>, time: RawTime) {
    let joins = readings
        .last()
        .is_some_and(|last| last.time == time && !last.values.contains_key(&name) && last.values.len() < MAX_VALUES);
    if !joins {
        readings.push(RawReading {
            values: BTreeMap::new(),
            units: BTreeMap::new(),
            time,
            boot: None,
            seq: None,
        });
    }
    if let Some(reading) = readings.last_mut() {
        if let Some(unit) = unit {
            reading.units.insert(name.clone(), unit);
        }
        reading.values.insert(name, value);
    }
}

impl Base {
    fn update(&mut self, fields: &Map<String, Value>) -> Result<(), String> {
        for name in fields.keys() {
            // A field that ends in `_` must be understood (RFC 8428, 4.4); others that are unknown are skipped.
            if name.ends_with('_') && !KNOWN.contains(&name.as_str()) {
                return Err(format!("`{}` must be understood and is not known", shown(name)));
            }
        }
        if let Some(version) = fields.get("bver") {
            let version = number("bver", version)?;
            if version > VERSION {
                return Err(format!("`bver` is {version}; allowed is at most {VERSION}"));
            }
        }
        if let Some(name) = text("bn", fields.get("bn"))? {
            self.name = name;
        }
        if let Some(time) = fields.get("bt") {
            self.time = number("bt", time)?;
        }
        if let Some(unit) = text("bu", fields.get("bu"))? {
            self.unit = Some(unit);
        }
        if let Some(value) = fields.get("bv") {
            self.value = number("bv", value)?;
        }
        Ok(())
    }

    /// Returns the record's value; none for a record that only sets base values.
    fn value_of(&self, fields: &Map<String, Value>) -> Result<Option<f64>, String> {
        if let Some(value) = fields.get("v") {
            let value = self.value + number("v", value)?;
            return if value.is_finite() {
                Ok(Some(value))
            } else {
                Err("`bv` + `v` is too large for a number".to_owned())
            };
        }
        if let Some(value) = fields.get("vb") {
            return match value {
                Value::Bool(_) => number("vb", value).map(Some),
                other => Err(format!("`vb` is {}; allowed are true and false", kind(other))),
            };
        }
        for name in ["vs", "vd", "s"] {
            if fields.contains_key(name) {
                return Err(format!(
                    "found `{name}`; allowed are `v` (a number) and `vb` (true, false)"
                ));
            }
        }
        if fields.keys().any(|name| !name.starts_with('b')) {
            return Err("it has no value; allowed are `v` (a number) and `vb` (true, false)".to_owned());
        }
        Ok(None)
    }

    fn property(&self, fields: &Map<String, Value>) -> Result<String, String> {
        let own = text("n", fields.get("n"))?.unwrap_or_default();
        Ok(property_of(&format!("{}{own}", self.name)).to_owned())
    }

    fn time_of(&self, fields: &Map<String, Value>) -> Result<RawTime, String> {
        let own = fields.get("t").map_or(Ok(0.0), |time| number("t", time))?;
        let seconds = self.time + own;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast from f64 saturates, and the clock's range is checked later"
        )]
        let millis = (seconds * 1000.0).round() as i64;
        Ok(if seconds == 0.0 {
            RawTime::Arrival
        } else if seconds < RELATIVE_BELOW {
            RawTime::Offset(millis)
        } else {
            RawTime::At(Timestamp::from_millis(millis))
        })
    }
}

/// Returns the property that a resolved name means: what follows the device in a `urn:dev:` name (RFC 9039), else the
/// part after the last `:` or `/`. The topic has named the sensor already.
fn property_of(name: &str) -> &str {
    let property = match name.strip_prefix("urn:dev:").and_then(|rest| rest.split_once(':')) {
        Some((_, device)) => device.find([':', '/', '_']).map_or("", |at| &device[at + 1..]),
        None => name.rsplit([':', '/']).next().unwrap_or(name),
    };
    if property.is_empty() { VALUE } else { property }
}

fn text(name: &str, value: Option<&Value>) -> Result<Option<String>, String> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("`{name}` is {}; allowed is a text", kind(other))),
    }
}

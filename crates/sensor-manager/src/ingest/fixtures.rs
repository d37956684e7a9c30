//! A small registry for the tests of the endpoints.

use common::messages::registry::Entry;
use common::{ConnectorId, DeviceId, LocationId, SensorId};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::registry::Directory;

pub(crate) fn connector() -> ConnectorId {
    ConnectorId::derive(&["connector"])
}

pub(crate) fn sensor() -> SensorId {
    SensorId::derive(&["sensor"])
}

/// A sensor that another connector carries.
pub(crate) fn foreign_sensor() -> SensorId {
    SensorId::derive(&["foreign sensor"])
}

pub(crate) fn device() -> DeviceId {
    DeviceId::derive(&["device"])
}

pub(crate) fn foreign_device() -> DeviceId {
    DeviceId::derive(&["foreign device"])
}

pub(crate) fn entries() -> Vec<Entry> {
    let place = LocationId::derive(&["place"]);
    let other = ConnectorId::derive(&["other connector"]);
    let created = "2026-01-01T00:00:00Z";
    let carried = |entry: &str, kind: &str, id: String, connector: ConnectorId| json!({"entry": entry, "id": id, "name": "n", "type": kind, "location": place, "connector": connector, "created": created});
    let known = |id: ConnectorId, secret: &str| {
        json!({"entry": "connector", "id": id, "name": "n", "location": place, "created": created,
               "secret_sha256": hex::encode(Sha256::digest(secret))})
    };
    [
        json!({"entry": "type", "name": "temperature", "title": "Temperature", "kind": "sensor",
               "properties": {"temperature": {"unit": "Cel", "minimum": -40, "maximum": 85}}}),
        json!({"entry": "type", "name": "fan", "title": "Fan", "kind": "device", "commands": {"switch": {}}}),
        json!({"entry": "location", "id": place, "name": "Lab", "kind": "room"}),
        known(connector(), "secret"),
        known(other, "other"),
        carried("sensor", "temperature", sensor().to_string(), connector()),
        carried("sensor", "temperature", foreign_sensor().to_string(), other),
        carried("device", "fan", device().to_string(), connector()),
        carried("device", "fan", foreign_device().to_string(), other),
    ]
    .into_iter()
    .map(|entry| serde_json::from_value(entry).unwrap())
    .collect()
}

pub(crate) fn directory() -> Directory {
    Directory::of(entries())
}

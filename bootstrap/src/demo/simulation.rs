//! The simulator's configuration for the building. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use common::config::Ports;
use serde_json::{Value, json};

use super::building::Building;
use super::plan::{self, Place};

/// Writes it; every connector needs its secret. `folder` holds the files that are replayed.
pub(super) fn render(
    building: &Building,
    secrets: &BTreeMap<String, String>,
    ports: &Ports,
    folder: &Path,
) -> Result<String> {
    let connectors = plan::places()
        .iter()
        .map(|place| connector(building, secrets, place, folder))
        .collect::<Result<Vec<_>>>()?;
    let config = json!({
        "servers": {
            "mqtt": format!("127.0.0.1:{}", ports.mqtt),
            "http": format!("http://127.0.0.1:{}", ports.ingestion),
        },
        "seed": 7,
        "connectors": connectors,
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&config)?))
}

/// The secrets that a configuration holds, by connector.
pub(super) fn secrets(config: &str) -> BTreeMap<String, String> {
    let config: Value = serde_json::from_str(config).unwrap_or_default();
    let pair = |connector: &Value| {
        Some((
            connector["id"].as_str()?.to_owned(),
            connector["secret"].as_str()?.to_owned(),
        ))
    };
    let connectors = config["connectors"].as_array();
    connectors.into_iter().flatten().filter_map(pair).collect()
}

fn connector(building: &Building, secrets: &BTreeMap<String, String>, place: &Place, folder: &Path) -> Result<Value> {
    let known = |ids: &BTreeMap<String, String>, name: &str| {
        ids.get(name)
            .cloned()
            .with_context(|| format!("`{name}` is not registered"))
    };
    let id = known(&building.connectors, &place.connector)?;
    let secret = secrets
        .get(&id)
        .with_context(|| format!("the secret of `{}` is not known", place.connector))?;
    let mut sensors = Vec::new();
    for sensor in &place.sensors {
        let mut generator = sensor.generator.clone();
        if let Some(path) = generator["path"].as_str() {
            generator["path"] = json!(folder.join(path));
        }
        let mut entry = json!({ "id": known(&building.sensors, &sensor.name)?, "property": sensor.property, "generator": generator });
        if let Some(every_ms) = sensor.every_ms {
            entry["every_ms"] = json!(every_ms);
        }
        sensors.push(entry);
    }
    let mut devices = Vec::new();
    for (name, kind) in &place.devices {
        let commands = if *kind == "lamp" {
            json!(["switch", "dim"])
        } else {
            json!(["switch"])
        };
        devices.push(json!({ "id": known(&building.devices, name)?, "commands": commands, "state": { "on": false } }));
    }
    Ok(json!({ "id": id, "secret": secret, "protocol": place.protocol, "sensors": sensors, "devices": devices }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simulator_takes_it_and_its_secrets_are_found_again() {
        let mut next = 0_u32;
        let mut ids = |names: Vec<String>| -> BTreeMap<String, String> {
            names
                .into_iter()
                .map(|name| {
                    next += 1;
                    (name, format!("00000000-0000-0000-0000-{next:012}"))
                })
                .collect()
        };
        let places = plan::places();
        let building = Building {
            connectors: ids(places.iter().map(|place| place.connector.clone()).collect()),
            sensors: ids(places
                .iter()
                .flat_map(|place| place.sensors.iter().map(|sensor| sensor.name.clone()))
                .collect()),
            devices: ids(places
                .iter()
                .flat_map(|place| place.devices.iter().map(|(name, _)| name.clone()))
                .collect()),
            ..Building::default()
        };
        let known: BTreeMap<String, String> = building
            .connectors
            .values()
            .map(|id| (id.clone(), format!("secret of {id}")))
            .collect();
        let ports = common::config::Config::default().ports;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/demo");
        let text = render(&building, &known, &ports, &folder).unwrap();
        assert_eq!(secrets(&text), known);
        let config = simulator::Config::parse(&text).unwrap();
        for sensor in config.connectors.iter().flat_map(|connector| &connector.sensors) {
            let mut generator = simulator::generator::Generator::open(sensor, 7).unwrap();
            assert!(generator.next_sample().is_some());
        }
        assert!(render(&building, &BTreeMap::new(), &ports, &folder).is_err());
    }
}

//! A place with sensors and devices: registered through the REST API, played by the simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use simulator::config::{
    Config, ConnectorConfig, DeviceConfig, GeneratorConfig, Protocol, Secret, SensorConfig, Servers,
};

use crate::client::Client;
use crate::stack::Stack;

/// What is wanted of a place.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the room.
    pub name: String,
    /// How its connector talks.
    pub protocol: Protocol,
    /// Temperature sensors.
    pub sensors: usize,
    /// Milliseconds between readings of one sensor.
    pub every_ms: u64,
    /// Readings of each sensor; without, until stopped.
    pub count: Option<u64>,
    /// Fans.
    pub fans: usize,
}

impl Plan {
    /// A room with nothing in it.
    #[must_use]
    pub fn room(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            protocol: Protocol::Mqtt,
            sensors: 0,
            every_ms: 1000,
            count: None,
            fans: 0,
        }
    }
}

/// A registered place.
#[derive(Debug)]
pub struct Site {
    /// Id of the room.
    pub location: String,
    /// Ids of the sensors.
    pub sensors: Vec<String>,
    /// Ids of the fans.
    pub fans: Vec<String>,
    /// Id and secret of its connector.
    pub connector: (String, String),
    config: Config,
    journal: PathBuf,
}

/// Registers the types that the sample applications need, once.
///
/// # Errors
/// When the platform refuses.
pub async fn types(admin: &Client) -> Result<()> {
    let known = admin.list("/api/v1/types").await?;
    let types = [
        json!({ "name": "temperature", "title": "Temperature", "kind": "sensor", "expected_interval_seconds": 60,
                "properties": { "temperature": { "title": "Temperature", "unit": "Cel", "minimum": -50, "maximum": 100 } } }),
        json!({ "name": "fan", "title": "Fan", "kind": "device",
                "commands": { "switch": { "title": "Switch", "arguments": { "on": { "type": "boolean", "title": "On" } } } } }),
    ];
    for wanted in types {
        if !known.iter().any(|known| known["name"] == wanted["name"]) {
            admin.post("/api/v1/types", &wanted).await?;
        }
    }
    Ok(())
}

impl Site {
    /// Registers a room with its connector, sensors and fans.
    ///
    /// # Errors
    /// When the platform refuses.
    pub async fn register(stack: &Stack, plan: &Plan, folder: &Path) -> Result<Self> {
        let ports = &stack.settings().ports;
        let servers = Servers {
            mqtt: Some(format!("127.0.0.1:{}", ports.mqtt)),
            http: Some(format!("http://127.0.0.1:{}", ports.ingestion)),
        };
        Self::register_at(stack.admin(), servers, plan, folder).await
    }

    /// The same on any installation.
    ///
    /// # Errors
    /// When the platform refuses.
    pub async fn register_at(admin: &Client, servers: Servers, plan: &Plan, folder: &Path) -> Result<Self> {
        let plan = &Plan {
            name: format!("{} {}", plan.name, crate::client::mark()),
            ..plan.clone()
        };
        let location = id(&admin
            .post(
                "/api/v1/locations",
                &json!({ "name": plan.name, "kind": "room", "grants": [{ "right": "use" }] }),
            )
            .await?)?;
        let made = admin
            .post(
                "/api/v1/connectors",
                &json!({ "name": format!("{} gateway", plan.name), "location": location }),
            )
            .await?;
        let connector = (
            id(&made)?,
            made["credentials"]["secret"].as_str().context("a secret")?.to_owned(),
        );
        let thing = |name: String, kind: &str| json!({ "name": name, "type": kind, "location": location, "connector": connector.0 });
        let mut sensors = Vec::new();
        for number in 1..=plan.sensors {
            sensors.push(id(&admin
                .post(
                    "/api/v1/sensors",
                    &thing(format!("{} thermometer {number}", plan.name), "temperature"),
                )
                .await?)?);
        }
        let mut fans = Vec::new();
        for number in 1..=plan.fans {
            fans.push(id(&admin
                .post("/api/v1/devices", &thing(format!("{} fan {number}", plan.name), "fan"))
                .await?)?);
        }
        let config = simulation(servers, plan, &connector, &sensors, &fans)?;
        let journal = folder.join(format!("{}.journal", plan.name.replace(' ', "-")));
        Ok(Self {
            location,
            sensors,
            fans,
            connector,
            config,
            journal,
        })
    }

    /// Adds a fan that its connector carries but that is registered elsewhere.
    ///
    /// # Errors
    /// When the id is none.
    pub fn with_fan(mut self, fan: &str) -> Result<Self> {
        let device = DeviceConfig {
            id: fan.parse()?,
            commands: BTreeSet::from(["switch".to_owned()]),
            state: BTreeMap::from([("on".to_owned(), Value::Bool(false))]),
            broken: None,
        };
        for connector in &mut self.config.connectors {
            connector.devices.push(device.clone());
        }
        self.fans.push(fan.to_owned());
        Ok(self)
    }

    /// Starts to send readings and to answer commands.
    ///
    /// # Errors
    /// When the simulator can not start.
    pub async fn play(&self) -> Result<simulator::Simulation> {
        simulator::Simulation::start(self.config.clone(), Some(&self.journal)).await
    }

    /// Where its connector connects to from the next time on that it plays.
    pub fn connect_to(&mut self, servers: Servers) {
        self.config.servers = servers;
    }

    /// Returns where acknowledged readings are written down.
    #[must_use]
    pub fn journal(&self) -> &Path {
        &self.journal
    }

    /// Schedules an application here to run now and returns the instance once it is known.
    ///
    /// # Errors
    /// When the platform refuses.
    pub async fn run_now(&self, user: &Client, application: &str, parameters: Value) -> Result<Value> {
        let schedule = user
            .post(
                "/api/v1/schedules",
                &json!({ "name": format!("{application} now"), "application": application, "location": self.location,
                         "parameters": parameters, "when": { "kind": "now" } }),
            )
            .await?;
        let schedule = id(&schedule)?;
        crate::wait::until("the occurrence is an instance", Duration::from_secs(20), || async {
            let instances = user.list("/api/v1/instances").await?;
            Ok(instances
                .into_iter()
                .find(|instance| instance["schedule"] == schedule.as_str()))
        })
        .await
    }
}

/// Returns the id of an entity.
///
/// # Errors
/// When there is none.
pub fn id(entity: &Value) -> Result<String> {
    entity["id"]
        .as_str()
        .map(ToOwned::to_owned)
        .with_context(|| format!("no id in {entity}"))
}

fn simulation(
    servers: Servers,
    plan: &Plan,
    connector: &(String, String),
    sensors: &[String],
    fans: &[String],
) -> Result<Config> {
    let walk = GeneratorConfig::RandomWalk {
        start: 22.0,
        step: 0.4,
        minimum: 15.0,
        maximum: 32.0,
    };
    let sensors = sensors
        .iter()
        .map(|sensor| {
            Ok(SensorConfig {
                id: sensor.parse()?,
                property: "temperature".to_owned(),
                generator: walk.clone(),
                every_ms: Some(plan.every_ms),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let devices = fans
        .iter()
        .map(|fan| {
            Ok(DeviceConfig {
                id: fan.parse()?,
                commands: BTreeSet::from(["switch".to_owned()]),
                state: BTreeMap::from([("on".to_owned(), Value::Bool(false))]),
                broken: None,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Config {
        servers,
        seed: 7,
        count: plan.count,
        in_flight: 64,
        buffer: 10_000,
        connectors: vec![ConnectorConfig {
            id: connector.0.parse()?,
            secret: Secret::new(connector.1.clone()),
            protocol: plan.protocol,
            sensors,
            devices,
        }],
    })
}

/// Zips the folder of a sample application as a developer would who calls it by another name.
///
/// # Errors
/// When a file can not be read.
pub fn bundle(example: &str, name: &str) -> Result<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace")?
        .join("sdk/examples")
        .join(example);
    bootstrap::demo::bundle::of_folder(&folder, |file, text| {
        if file == "app.json" {
            text.replacen(&format!("\"name\": \"{example}\""), &format!("\"name\": \"{name}\""), 1)
        } else {
            text
        }
    })
}

/// Uploads `room-comfort` for scenarios that only need it; returns its name.
///
/// # Errors
/// When it can not be built.
pub async fn room_comfort(stack: &Stack) -> Result<String> {
    let name = format!("room-comfort-{}", crate::client::mark());
    let known = stack
        .admin()
        .send(reqwest::Method::GET, &format!("/api/v1/applications/{name}"), None)
        .await?;
    if !known.status.is_success() {
        stack.admin().upload(bundle("room-comfort", &name)?).await?;
    }
    Ok(name)
}

//! What to simulate: the configuration file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use common::ids::{ConnectorId, DeviceId, SensorId};
use serde::{Deserialize, Serialize};

/// A whole simulation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where readings go.
    pub servers: Servers,
    /// The same seed gives the same values.
    #[serde(default)]
    pub seed: u64,
    /// How many readings each sensor sends before it ends; without it they send until stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Most readings sent and not yet acknowledged: per connector (MQTT) or per sensor (HTTP). At most 64, so that
    /// whatever is sent again after a lost connection lies within the platform's window of repeats.
    #[serde(default = "default_in_flight")]
    pub in_flight: u16,
    /// Most readings that a connector keeps while it has no connection; its sensors then wait.
    #[serde(default = "default_buffer")]
    pub buffer: usize,
    /// What signs in.
    pub connectors: Vec<ConnectorConfig>,
}

fn default_in_flight() -> u16 {
    64
}

fn default_buffer() -> usize {
    10_000
}

/// Addresses of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Servers {
    /// `host:port` of the MQTT endpoint; needed when a connector speaks MQTT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<String>,
    /// `http://host:port` of HTTP ingestion; needed when a connector speaks HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
}

/// How a connector talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// MQTT 3.1.1, acknowledged publishes.
    Mqtt,
    /// HTTP with basic authentication.
    Http,
}

/// A connector's secret; never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret itself, to sign in with.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A connector with its sensors and devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorConfig {
    /// Its id, also its user name.
    pub id: ConnectorId,
    /// Its password.
    pub secret: Secret,
    /// How it talks.
    pub protocol: Protocol,
    /// Its sensors.
    #[serde(default)]
    pub sensors: Vec<SensorConfig>,
    /// Its devices.
    #[serde(default)]
    pub devices: Vec<DeviceConfig>,
}

/// A sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensorConfig {
    /// Its id.
    pub id: SensorId,
    /// The property it measures: `temperature`.
    pub property: String,
    /// Where its values come from.
    pub generator: GeneratorConfig,
    /// Milliseconds between two readings; a CSV replay with a time column keeps its own pace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
}

/// Where values come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum GeneratorConfig {
    /// A value that moves by at most `step` each time and stays inside its limits.
    RandomWalk {
        /// First value.
        start: f64,
        /// Largest move.
        step: f64,
        /// Lower limit.
        minimum: f64,
        /// Upper limit.
        maximum: f64,
    },
    /// A wave.
    Sine {
        /// Middle.
        mean: f64,
        /// Distance of the extremes from the middle.
        amplitude: f64,
        /// Seconds of one wave.
        period_seconds: f64,
        /// Largest random deviation.
        #[serde(default)]
        noise: f64,
    },
    /// Rows of a CSV file with a header line.
    Csv {
        /// The file; a relative path starts at the configuration file's folder.
        path: PathBuf,
        /// The column with the values.
        column: String,
        /// The column with the moments: distances between readings are those of the file divided by `speed`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time_column: Option<String>,
        /// How much faster than the file.
        #[serde(default = "default_speed")]
        speed: f64,
        /// Whether to begin again after the last row.
        #[serde(default)]
        repeat: bool,
    },
}

fn default_speed() -> f64 {
    1.0
}

/// A device that answers commands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceConfig {
    /// Its id.
    pub id: DeviceId,
    /// Commands it knows; the arguments become part of its state. Empty: it accepts every command.
    #[serde(default)]
    pub commands: BTreeSet<String>,
    /// Its state at the start.
    #[serde(default)]
    pub state: BTreeMap<String, serde_json::Value>,
    /// When given, every command fails with this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// When it cannot be read, does not parse, or describes something impossible; says where.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
        let mut config = Self::parse(&text).with_context(|| format!("{} is not valid", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for sensor in config
            .connectors
            .iter_mut()
            .flat_map(|connector| &mut connector.sensors)
        {
            if let GeneratorConfig::Csv { path, .. } = &mut sensor.generator {
                *path = folder.join(&*path);
            }
        }
        Ok(config)
    }

    /// Parses and checks the text of a configuration file.
    ///
    /// # Errors
    /// When it does not parse or describes something impossible.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let config: Self = serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| anyhow::anyhow!("at {}: {}", error.path(), error.inner()))?;
        config.check()?;
        Ok(config)
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// Names the place, what was found and what is allowed.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            (1..=64).contains(&self.in_flight),
            "in_flight is {}: allowed are 1 to 64",
            self.in_flight
        );
        ensure!(self.buffer > 0, "buffer is 0: allowed is 1 or more");
        let mut seen = BTreeSet::new();
        for connector in &self.connectors {
            ensure!(
                seen.insert(connector.id.uuid()),
                "connector {} appears twice",
                connector.id
            );
            match connector.protocol {
                Protocol::Mqtt => {
                    self.mqtt_address()?;
                }
                Protocol::Http => ensure!(
                    self.servers
                        .http
                        .as_deref()
                        .is_some_and(|address| address.starts_with("http://")),
                    "servers.http must be `http://host:port` because connector {} speaks http",
                    connector.id
                ),
            }
            for sensor in &connector.sensors {
                ensure!(seen.insert(sensor.id.uuid()), "sensor {} appears twice", sensor.id);
                sensor.check()?;
            }
            for device in &connector.devices {
                ensure!(seen.insert(device.id.uuid()), "device {} appears twice", device.id);
            }
        }
        Ok(())
    }

    /// Returns host and port of the MQTT endpoint.
    ///
    /// # Errors
    /// When there is none or it is not `host:port`.
    pub fn mqtt_address(&self) -> anyhow::Result<(String, u16)> {
        let Some(address) = self.servers.mqtt.as_deref() else {
            bail!("servers.mqtt must be `host:port` because a connector speaks mqtt");
        };
        address
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)))
            .with_context(|| format!("servers.mqtt is `{address}`: it must be `host:port`"))
    }
}

impl SensorConfig {
    fn check(&self) -> anyhow::Result<()> {
        let id = self.id;
        let paced_by_file = matches!(
            &self.generator,
            GeneratorConfig::Csv {
                time_column: Some(_),
                ..
            }
        );
        match self.every_ms {
            Some(0) => bail!("sensor {id}: every_ms is 0: allowed is 1 or more"),
            None if !paced_by_file => bail!("sensor {id}: every_ms is missing"),
            _ => {}
        }
        match &self.generator {
            GeneratorConfig::RandomWalk {
                start,
                step,
                minimum,
                maximum,
            } => ensure!(
                minimum <= start
                    && start <= maximum
                    && *step >= 0.0
                    && [start, step, minimum, maximum].iter().all(|v| v.is_finite()),
                "sensor {id}: a random walk needs minimum <= start <= maximum and a step that is not negative"
            ),
            GeneratorConfig::Sine {
                mean,
                amplitude,
                period_seconds,
                noise,
            } => ensure!(
                *period_seconds > 0.0
                    && *noise >= 0.0
                    && [mean, amplitude, period_seconds, noise].iter().all(|v| v.is_finite()),
                "sensor {id}: a sine needs a period above 0 and a noise that is not negative"
            ),
            GeneratorConfig::Csv { speed, .. } => {
                ensure!(
                    *speed > 0.0 && speed.is_finite(),
                    "sensor {id}: speed is {speed}: it must be above 0"
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENSOR: &str = "00000000-0000-0000-0000-000000000001";

    fn with(sensor: &str) -> anyhow::Result<Config> {
        Config::parse(&format!(
            r#"{{"servers":{{"mqtt":"localhost:1883"}},"connectors":[{{"id":"{SENSOR}","secret":"s3cret","protocol":"mqtt","sensors":[{sensor}]}}]}}"#
        ))
    }

    #[test]
    fn says_where_and_what() {
        let walk = r#""generator":{"kind":"sine","mean":1,"amplitude":1,"period_seconds":9}"#;
        let id = "00000000-0000-0000-0000-000000000002";
        assert!(with(&format!(r#"{{"id":"{id}","property":"t","every_ms":10,{walk}}}"#)).is_ok());
        for (sensor, expected) in [
            (
                format!(r#"{{"id":"{id}","property":"t",{walk}}}"#),
                "every_ms is missing",
            ),
            (
                format!(r#"{{"id":"{id}","property":"t","every_ms":0,{walk}}}"#),
                "every_ms is 0",
            ),
            (
                format!(r#"{{"id":"{SENSOR}","property":"t","every_ms":5,{walk}}}"#),
                "appears twice",
            ),
            (
                format!(r#"{{"id":"{id}","property":"t","every":5,{walk}}}"#),
                "connectors[0].sensors[0].every",
            ),
            (r#"{"id":"x","property":"t"}"#.to_owned(), "connectors[0].sensors[0].id"),
        ] {
            let error = format!("{:#}", with(&sensor).unwrap_err());
            assert!(error.contains(expected), "{error} does not contain {expected}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let config = with("").unwrap_or_else(|_| {
            Config::parse(&format!(
                r#"{{"servers":{{"mqtt":"h:1"}},"connectors":[{{"id":"{SENSOR}","secret":"s3cret","protocol":"mqtt"}}]}}"#
            ))
            .unwrap()
        });
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}

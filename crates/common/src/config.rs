//! `config.json`: what an admin says about an installation. Everything has a safe default; an empty object is valid.
//!
//! Only what is available is accepted, so that nothing an admin wrote is silently ignored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{Limits, SmtpSettings};

/// The services of the platform, as named on a command line, in `config.json` and in heartbeats.
pub const SERVICES: [&str; 6] = [
    "application-manager",
    "scheduler",
    "deployer",
    "sensor-manager",
    "action-manager",
    "monitor",
];

/// Everything an admin can set about an installation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where an editor finds this schema.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Version of this file's format.
    pub api_version: ApiVersion,
    /// Name of the installation: prefixes its topics, database, Swarm services, network, user. Two installations with different names, ports and data directories live on one machine.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,15}$"))]
    pub name: String,
    /// Where everything of this installation lives.
    pub data_dir: PathBuf,
    /// The hosts. Absent: this machine.
    pub hosts: Vec<Host>,
    /// Kafka.
    pub kafka: Kafka,
    /// MongoDB.
    pub mongodb: Mongodb,
    /// What people open in a browser.
    pub console: Console,
    /// Every other port.
    pub ports: Ports,
    /// Limits.
    pub limits: Limits,
    /// Outgoing mail. Absent: notifications appear in the console only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpSettings>,
    /// Where secrets are; never the secrets themselves. Known: `smtp.password`.
    pub secrets: BTreeMap<SecretName, SecretReference>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            schema: None,
            api_version: ApiVersion::V1,
            name: "iot".to_owned(),
            data_dir: PathBuf::from("/var/lib/iot"),
            hosts: Vec::new(),
            kafka: Kafka::default(),
            mongodb: Mongodb::default(),
            console: Console::default(),
            ports: Ports::default(),
            limits: Limits::default(),
            smtp: None,
            secrets: BTreeMap::new(),
        }
    }
}

/// Version of the format of `config.json`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first.
    #[default]
    #[serde(rename = "v1")]
    V1,
}

/// A machine that runs services and applications.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Name as people see it; absent: the machine's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name or address that people and sensors use to reach it; absent: the machine's first address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How it is reached.
    pub connection: Connection,
}

/// How a host is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Connection {
    /// It is the machine on which `bootstrap` runs.
    #[default]
    Local,
    /// Over SSH. Not available yet.
    Ssh,
}

/// Who runs a piece of infrastructure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// `bootstrap` installs and supervises it.
    #[default]
    Managed,
    /// It is there already.
    External,
}

/// Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// Who runs it.
    pub mode: Mode,
    /// `host:port`, comma separated; with `external` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brokers: Option<String>,
    /// Copies of each partition; more than 1 with `external` only.
    #[schemars(range(min = 1))]
    pub replication: i32,
    /// Memory of the managed broker's heap, in MiB.
    #[schemars(range(min = 256))]
    pub heap_mib: u32,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            mode: Mode::Managed,
            brokers: None,
            replication: 1,
            heap_mib: 512,
        }
    }
}

/// MongoDB.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mongodb {
    /// Who runs it. `managed` = a `mongod` that the package manager can install, else FerretDB behind its write gate.
    pub mode: Mode,
    /// Connection string without a password; with `external` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// What people open in a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// Console and REST API.
    pub port: u16,
    /// Applications' pages; their own origin.
    pub applications_port: u16,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            port: 80,
            applications_port: 8081,
        }
    }
}

/// Every port but the console's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ports {
    /// MQTT for sensors and devices.
    pub mqtt: u16,
    /// HTTP ingestion for sensors and devices.
    pub ingestion: u16,
    /// Managed Kafka, loopback.
    pub kafka: u16,
    /// Managed Kafka's controller, loopback.
    pub kafka_controller: u16,
    /// Managed MongoDB, loopback.
    pub mongodb: u16,
    /// Registry of application images, loopback.
    pub registry: u16,
    /// Sensor manager's gateway for applications, loopback.
    pub readings: u16,
    /// Action manager's gateway for applications, loopback.
    pub actions: u16,
    /// Node agent, forwards to `readings`, on the applications' bridge.
    pub agent_readings: u16,
    /// Node agent, forwards to `actions`, on the applications' bridge.
    pub agent_actions: u16,
    /// First of seven consecutive admin ports (health, metrics), loopback: the six services and the node agent.
    pub admin: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            mqtt: 1883,
            ingestion: 8082,
            kafka: 9092,
            kafka_controller: 9093,
            mongodb: 27017,
            registry: 5000,
            readings: 7601,
            actions: 7602,
            agent_readings: 7611,
            agent_actions: 7612,
            admin: 7700,
        }
    }
}

/// A secret that an admin may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum SecretName {
    /// Password of the mail account `smtp.username`.
    #[serde(rename = "smtp.password")]
    SmtpPassword,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretReference {
    /// In a file.
    File(PathBuf),
    /// In an environment variable of the `bootstrap` command.
    Env(String),
}

/// Why `config.json` is refused: where, what was found, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {at}: {message}{}", .nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
pub struct ConfigError {
    /// JSON path, `(the file)` for the whole.
    pub at: String,
    /// What was found and what is allowed.
    pub message: String,
    /// The valid name that is closest to what was found.
    pub nearest: Option<String>,
}

impl ConfigError {
    fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            message: message.into(),
            nearest: None,
        }
    }
}

impl Config {
    /// Parses and checks the text of a `config.json`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its JSON path.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let config: Self = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| from_serde(&error))?;
        deserializer
            .end()
            .map_err(|error| ConfigError::new("(the file)", format!("something follows the object: {error}")))?;
        config.check()?;
        Ok(config)
    }

    /// Checks what types cannot say.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_name(&self.name)?;
        check_data_dir(&self.data_dir)?;
        check_hosts(&self.hosts)?;
        self.check_infrastructure()?;
        self.check_ports()?;
        self.check_limits()
    }

    /// The host on which everything runs.
    #[must_use]
    pub fn host(&self) -> Host {
        self.hosts.first().cloned().unwrap_or_default()
    }

    /// Every port with its JSON path.
    #[must_use]
    pub fn all_ports(&self) -> Vec<(&'static str, u16)> {
        let ports = &self.ports;
        let mut all = vec![
            ("console.port", self.console.port),
            ("console.applications_port", self.console.applications_port),
            ("ports.mqtt", ports.mqtt),
            ("ports.ingestion", ports.ingestion),
            ("ports.registry", ports.registry),
            ("ports.readings", ports.readings),
            ("ports.actions", ports.actions),
            ("ports.agent_readings", ports.agent_readings),
            ("ports.agent_actions", ports.agent_actions),
        ];
        if self.kafka.mode == Mode::Managed {
            all.extend([
                ("ports.kafka", ports.kafka),
                ("ports.kafka_controller", ports.kafka_controller),
            ]);
        }
        if self.mongodb.mode == Mode::Managed {
            all.push(("ports.mongodb", ports.mongodb));
        }
        all.extend(self.admin_ports().into_values().map(|port| ("ports.admin", port)));
        all
    }

    /// Admin port of each service and of the node agent (`agent`).
    #[must_use]
    pub fn admin_ports(&self) -> BTreeMap<String, u16> {
        SERVICES
            .into_iter()
            .chain(["agent"])
            .zip(self.ports.admin..=u16::MAX)
            .map(|(service, port)| (service.to_owned(), port))
            .collect()
    }

    fn check_infrastructure(&self) -> Result<(), ConfigError> {
        let kafka = &self.kafka;
        match (kafka.mode, &kafka.brokers) {
            (Mode::External, None) => {
                return Err(ConfigError::new(
                    "kafka.brokers",
                    "missing; mode `external` needs `host:port`, comma separated",
                ));
            }
            (Mode::Managed, Some(_)) => {
                return Err(ConfigError::new(
                    "kafka.brokers",
                    "only with mode `external`; a managed broker's port is `ports.kafka`",
                ));
            }
            _ => {}
        }
        if kafka.replication < 1 || (kafka.mode == Mode::Managed && kafka.replication != 1) {
            let message = format!("found {}, allowed: 1 on one managed broker", kafka.replication);
            return Err(ConfigError::new("kafka.replication", message));
        }
        if kafka.heap_mib < 256 {
            return Err(ConfigError::new(
                "kafka.heap_mib",
                format!("found {}, allowed: 256 or more", kafka.heap_mib),
            ));
        }
        match (self.mongodb.mode, &self.mongodb.uri) {
            (Mode::External, None) => Err(ConfigError::new(
                "mongodb.uri",
                "missing; mode `external` needs a connection string",
            )),
            (Mode::External, Some(uri)) if !uri.starts_with("mongodb://") && !uri.starts_with("mongodb+srv://") => {
                Err(ConfigError::new(
                    "mongodb.uri",
                    "allowed: a connection string that begins with mongodb:// or mongodb+srv://",
                ))
            }
            (Mode::Managed, Some(_)) => Err(ConfigError::new(
                "mongodb.uri",
                "only with mode `external`; the managed one's port is `ports.mongodb`",
            )),
            _ => Ok(()),
        }
    }

    fn check_ports(&self) -> Result<(), ConfigError> {
        if self.ports.admin > u16::MAX - 6 {
            let message = format!(
                "found {}, allowed: at most 65529, seven ports begin here",
                self.ports.admin
            );
            return Err(ConfigError::new("ports.admin", message));
        }
        let mut taken: BTreeMap<u16, &str> = BTreeMap::new();
        for (at, port) in self.all_ports() {
            if port == 0 {
                return Err(ConfigError::new(at, "found 0, allowed: 1 to 65535"));
            }
            if let Some(other) = taken.insert(port, at) {
                let message = format!("{port} is also {other}; choose another (ports.admin takes seven)");
                return Err(ConfigError::new(at, message));
            }
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let counts = [
            ("limits.bundle_mib", limits.bundle_mib),
            ("limits.unpacked_mib", limits.unpacked_mib),
            ("limits.bundle_entries", limits.bundle_entries as u64),
            ("limits.application_memory_mib", limits.application_memory_mib),
            ("limits.history_hours", limits.history_hours),
            ("limits.instances", limits.instances as u64),
        ];
        if let Some((at, _)) = counts.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::new(at, "found 0, allowed: 1 or more"));
        }
        if !(limits.application_cpus > 0.0 && limits.application_cpus.is_finite()) {
            let message = format!("found {}, allowed: more than 0", limits.application_cpus);
            return Err(ConfigError::new("limits.application_cpus", message));
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), ConfigError> {
    let mut characters = name.chars();
    let good = characters.next().is_some_and(|first| first.is_ascii_lowercase())
        && characters.all(|next| next.is_ascii_lowercase() || next.is_ascii_digit() || next == '-')
        && name.len() <= 16
        && !name.ends_with('-');
    if good {
        return Ok(());
    }
    let message = format!("found {name:?}, allowed: a to z, then a to z, 0 to 9 or -, at most 16 characters");
    Err(ConfigError::new("name", message))
}

fn check_data_dir(data_dir: &Path) -> Result<(), ConfigError> {
    let plain = data_dir
        .components()
        .all(|part| matches!(part, std::path::Component::RootDir | std::path::Component::Normal(_)));
    let safe = data_dir
        .to_str()
        .is_some_and(|text| !text.contains([' ', '%', ';', '"', '\'', '\n']));
    if data_dir.is_absolute() && plain && safe && data_dir.components().count() >= 3 {
        return Ok(());
    }
    let message = format!(
        "found {data_dir:?}, allowed: an absolute path at least two deep, without `..`, spaces, quotes, `%` or `;`"
    );
    Err(ConfigError::new("data_dir", message))
}

fn check_hosts(hosts: &[Host]) -> Result<(), ConfigError> {
    if let Some(index) = hosts.iter().position(|host| host.connection == Connection::Ssh) {
        let message = "many hosts are not available yet; allowed: one host with connection `local`, or no hosts at all";
        return Err(ConfigError::new(format!("hosts[{index}].connection"), message));
    }
    if hosts.len() > 1 {
        return Err(ConfigError::new(
            "hosts[1]",
            "many hosts are not available yet; allowed: one host",
        ));
    }
    Ok(())
}

/// Turns a parser's error into one for people.
fn from_serde(error: &serde_path_to_error::Error<serde_json::Error>) -> ConfigError {
    let inner = error.inner();
    let text = inner.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let named = message.starts_with("unknown ");
    let nearest = names
        .split_first()
        .filter(|_| named)
        .and_then(|(found, allowed)| nearest(found, allowed.iter().copied()));
    let mut at = error.path().to_string();
    if at == "." {
        "(the file)".clone_into(&mut at);
    }
    if inner.is_syntax() || inner.is_eof() {
        return ConfigError::new(
            format!("line {} column {}", inner.line(), inner.column()),
            format!("not JSON: {message}"),
        );
    }
    ConfigError { at, message, nearest }
}

/// The allowed name that is closest to what was found, if any is close.
fn nearest<'a>(found: &str, allowed: impl Iterator<Item = &'a str>) -> Option<String> {
    allowed
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .filter(|(distance, name)| *distance <= name.len().max(found.len()).div_ceil(2))
        .min()
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_object_is_the_default() {
        assert_eq!(Config::parse("{}").unwrap(), Config::default());
    }

    #[test]
    fn wrong_files_say_where_and_what_is_near() {
        let table: &[(&str, &str)] = &[
            ("", "line 1 column 0"),
            ("{", "line 1 column 1"),
            (r#"{"nmae":"x"}"#, "did you mean `name`?"),
            (r#"{"console":{"prt":81}}"#, "at console"),
            (r#"{"console":{"prt":81}}"#, "did you mean `port`?"),
            (
                r#"{"console":{"port":"80"}}"#,
                "at console.port: invalid type: string \"80\"",
            ),
            (
                r#"{"console":{"port":70000}}"#,
                "at console.port: invalid value: integer `70000`",
            ),
            (
                r#"{"hosts":[{"connection":"locl"}]}"#,
                "at hosts[0].connection: unknown variant `locl`",
            ),
            (r#"{"hosts":[{"connection":"locl"}]}"#, "did you mean `local`?"),
            (
                r#"{"hosts":[{"connection":"ssh"}]}"#,
                "at hosts[0].connection: many hosts are not available yet",
            ),
            (r#"{"hosts":[{},{}]}"#, "at hosts[1]: many hosts are not available yet"),
            (r#"{"api_version":"v2"}"#, "at api_version: unknown variant `v2`"),
            (r#"{"name":"Upper"}"#, "at name: found \"Upper\", allowed:"),
            (
                r#"{"data_dir":"relative"}"#,
                "at data_dir: found \"relative\", allowed:",
            ),
            (r#"{"data_dir":"/"}"#, "at data_dir"),
            (r#"{"data_dir":"/var/../etc"}"#, "at data_dir"),
            (r#"{"kafka":{"mode":"external"}}"#, "at kafka.brokers: missing"),
            (r#"{"kafka":{"replication":3}}"#, "at kafka.replication: found 3"),
            (
                r#"{"mongodb":{"uri":"mongodb://x"}}"#,
                "at mongodb.uri: only with mode `external`",
            ),
            (r#"{"ports":{"mqtt":0}}"#, "at ports.mqtt: found 0"),
            (r#"{"ports":{"mqtt":80}}"#, "at ports.mqtt: 80 is also console.port"),
            (r#"{"ports":{"admin":65530}}"#, "at ports.admin: found 65530"),
            (r#"{"limits":{"instances":0}}"#, "at limits.instances: found 0"),
            (
                r#"{"limits":{"application_cpus":-1.0}}"#,
                "at limits.application_cpus: found -1",
            ),
            (
                r#"{"secrets":{"smtp.pasword":{"file":"/x"}}}"#,
                "did you mean `smtp.password`?",
            ),
            (r#"{"secrets":{"smtp.password":"hunter2"}}"#, "at secrets"),
            ("{} {}", "at (the file): something follows the object"),
        ];
        for (text, expected) in table {
            let error = Config::parse(text).expect_err(text).to_string();
            assert!(
                error.contains(expected),
                "{text}\n  said: {error}\n  wanted: {expected}"
            );
        }
    }

    #[test]
    fn services_are_named_as_everywhere() {
        let names: Vec<&str> = crate::names::ServiceName::ALL
            .into_iter()
            .map(crate::names::ServiceName::as_str)
            .collect();
        assert_eq!(names, SERVICES.into_iter().chain(["agent"]).collect::<Vec<_>>());
    }

    #[test]
    fn admin_ports_are_consecutive() {
        let ports = Config::default().admin_ports();
        assert_eq!(ports.get("application-manager"), Some(&7700));
        assert_eq!(ports.get("monitor"), Some(&7705));
        assert_eq!(ports.get("agent"), Some(&7706));
    }
}

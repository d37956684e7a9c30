//! `config.json`: what an admin says about an installation. Everything has a safe default; an empty object is valid.
//!
//! Only what is available is accepted, so that nothing an admin wrote is silently ignored.

mod check;
mod comments;
mod hosts;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{Limits, Sasl, SmtpSettings};

pub use check::ConfigError;
pub use hosts::{Bastion, Connection, Host, Role, Ssh};

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
    /// Copies of each service that no host names, each on a host of its own. Absent: 2, or 1 where there is one host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub copies: Option<usize>,
    /// Whether the monitor starts services of a host that is lost on another one. `false` and `up`: it only tells.
    pub recovery: bool,
    /// How hosts are reached over SSH, where a host does not say otherwise.
    #[serde(skip_serializing_if = "Ssh::is_empty")]
    pub ssh: Ssh,
    /// Kafka.
    pub kafka: Kafka,
    /// MongoDB.
    pub mongodb: Mongodb,
    /// What people open in a browser.
    pub console: Console,
    /// What people's browsers and devices see of this installation, own or from an authority. Absent: they get no TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<PublicTls>,
    /// Every other port.
    pub ports: Ports,
    /// Limits.
    pub limits: Limits,
    /// Outgoing mail. Absent: notifications appear in the console only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpSettings>,
    /// Where secrets are; never the secrets themselves. Known: `smtp.password`, and `kafka.password` and `mongodb.password` with mode `external`.
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
            copies: None,
            recovery: true,
            ssh: Ssh::default(),
            kafka: Kafka::default(),
            mongodb: Mongodb::default(),
            console: Console::default(),
            tls: None,
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
    /// Copies of each partition. A managed Kafka has as many brokers, 1 or 3: with 3, on three hosts, nothing is lost when one of them dies.
    #[schemars(range(min = 1))]
    pub replication: i32,
    /// Memory of the managed broker's heap, in MiB.
    #[schemars(range(min = 256))]
    pub heap_mib: u32,
    /// The account that all services share, with `external` only; its password is the secret `kafka.password`. A managed broker has an account for each service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// How that account signs in, with `external` only.
    pub mechanism: Sasl,
    /// Whether links are encrypted, with `external` only. A managed broker's are, where there is more than one host.
    pub tls: bool,
    /// Authorities to believe, PEM, a file on the machine on which `bootstrap` runs. Absent: the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            mode: Mode::Managed,
            brokers: None,
            replication: 1,
            heap_mib: 512,
            username: None,
            mechanism: Sasl::default(),
            tls: false,
            ca: None,
        }
    }
}

/// MongoDB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mongodb {
    /// Who runs it. `managed` = a `mongod` that the package manager can install, else FerretDB behind its write gate.
    pub mode: Mode,
    /// Copies of a managed database on many hosts: 1 = FerretDB, 3 = a `mongod` on each of three hosts, a replica set.
    #[schemars(range(min = 1))]
    pub replication: usize,
    /// Connection string without a password; with `external` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The account that all services share, with `external` only; its password is the secret `mongodb.password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Whether links are encrypted, with `external` only.
    pub tls: bool,
    /// Authorities to believe, PEM, a file on the machine on which `bootstrap` runs. Absent: the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

impl Default for Mongodb {
    fn default() -> Self {
        Self {
            mode: Mode::Managed,
            replication: 1,
            uri: None,
            username: None,
            tls: false,
            ca: None,
        }
    }
}

/// What people open in a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// Console and REST API.
    pub port: u16,
    /// Applications' pages; their own origin. Over TLS where there is `tls`.
    pub applications_port: u16,
    /// Console and REST API over TLS, where there is `tls`; `port` then leads there.
    pub tls_port: u16,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            port: 80,
            applications_port: 8081,
            tls_port: 443,
        }
    }
}

/// A certificate for people and devices: files on the machine on which `bootstrap` runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublicTls {
    /// The certificate and those that lead to its authority, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Every port but the console's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ports {
    /// MQTT for sensors and devices.
    pub mqtt: u16,
    /// HTTP ingestion for sensors and devices.
    pub ingestion: u16,
    /// MQTT over TLS, where there is `tls`.
    pub mqtt_tls: u16,
    /// HTTP ingestion over TLS, where there is `tls`.
    pub ingestion_tls: u16,
    /// Managed Kafka; on loopback, on many hosts on their internal addresses.
    pub kafka: u16,
    /// Managed Kafka's controller; on loopback, with three brokers on their internal addresses.
    pub kafka_controller: u16,
    /// Managed MongoDB; on loopback, on many hosts on their internal addresses.
    pub mongodb: u16,
    /// Registry of application images; on loopback, on many hosts on their internal addresses.
    pub registry: u16,
    /// Sensor manager's gateway for applications; on loopback, on many hosts on their internal addresses.
    pub readings: u16,
    /// Action manager's gateway for applications; on loopback, on many hosts on their internal addresses.
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
            mqtt_tls: 8883,
            ingestion_tls: 8483,
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
    /// Password of `kafka.username`.
    #[serde(rename = "kafka.password")]
    KafkaPassword,
    /// Password of `mongodb.username`.
    #[serde(rename = "mongodb.password")]
    MongodbPassword,
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

impl Config {
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
        if self.tls.is_some() {
            all.extend([
                ("console.tls_port", self.console.tls_port),
                ("ports.mqtt_tls", ports.mqtt_tls),
                ("ports.ingestion_tls", ports.ingestion_tls),
            ]);
        }
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

    /// How many brokers a managed Kafka has; 1 place for one that somebody else runs.
    #[must_use]
    pub fn brokers(&self) -> usize {
        match self.kafka.mode {
            Mode::Managed => usize::try_from(self.kafka.replication).unwrap_or(1),
            Mode::External => 1,
        }
    }

    /// How many servers a managed MongoDB has; 1 place for one that somebody else runs.
    #[must_use]
    pub fn databases(&self) -> usize {
        match self.mongodb.mode {
            Mode::Managed => self.mongodb.replication,
            Mode::External => 1,
        }
    }

    /// Whether the platform makes a replica set of `mongod`s.
    #[must_use]
    pub fn has_replica_set(&self) -> bool {
        self.databases() > 1
    }

    /// Whether the console needs ports that only root, or who was given the right, may take.
    #[must_use]
    pub fn console_needs_low_ports(&self) -> bool {
        let console = &self.console;
        let tls = self.tls.as_ref().map(|_| console.tls_port);
        [console.port, console.applications_port]
            .into_iter()
            .chain(tls)
            .any(|port| port < 1024)
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
}

#[cfg(test)]
mod tests;

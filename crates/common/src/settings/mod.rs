//! What a service is told at its start: the resolved form of `config.json`.
//!
//! `bootstrap` derives it from `config.json` and writes it as `<data_dir>/etc/settings.json`; every service reads the
//! same file. It holds no secret, only where secrets lie. A service passes over what it does not know: after a rollback it reads what
//! was written for a later release. So a new setting has a default, and none gets another meaning.

mod known;
mod limits;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::known::{known_limits, known_smtp};
pub use self::limits::{LEAST_INSTANCE_DAYS, Limits};
use crate::names::ServiceName;

/// The resolved settings of one installation on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Name of the installation; prefixes topics, group ids, the database, Swarm services and networks.
    pub name: String,
    /// Name of this host as people see it.
    pub host: String,
    /// Where everything of this installation lives.
    pub data_dir: PathBuf,
    /// Folder with one file per secret: `token.key` (shared by deployer, sensor manager, action manager),
    /// `service.<name>.password` (with which a service signs in to Kafka and MongoDB), `first-admin.password` (one-time), `host.token` (with which `bootstrap` acts as the first admin), `smtp.password`, … Mode 0600.
    pub secrets_dir: PathBuf,
    /// Address that people and sensors use to reach this host, without scheme.
    pub public_address: String,
    /// Address on which this host listens to the platform's other hosts; loopback where there are none.
    #[serde(default = "loopback")]
    pub internal_address: IpAddr,
    /// Where node agents forward to.
    #[serde(default)]
    pub gateways: Gateways,
    /// File with this host's private key and certificate, PEM, by which the other hosts know it; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// File with the private key and certificates that people and devices see, PEM; absent where they get no TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_certificate: Option<PathBuf>,
    /// Kafka.
    pub kafka: KafkaSettings,
    /// MongoDB protocol.
    pub mongodb: MongoSettings,
    /// Whether the database comes from a backup: then the Kafka beside it is another one, also where nothing remembers the one before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
    /// How services are started on other hosts in the place of those of a host that is lost; absent where there is one host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// Docker Engine and what applications run on.
    pub engine: EngineSettings,
    /// Ports; 0 is not allowed, `bootstrap` chooses.
    pub ports: Ports,
    /// Limits.
    #[serde(deserialize_with = "known_limits")]
    pub limits: Limits,
    /// Mail; absent when not configured.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known_smtp")]
    pub smtp: Option<SmtpSettings>,
}

/// Where applications' connections are forwarded to, nearest first. Empty: to this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gateways {
    /// Sensor managers.
    pub readings: Vec<SocketAddr>,
    /// Action managers.
    pub actions: Vec<SocketAddr>,
    /// The registry of application images, where it is on another host: the agent makes it `127.0.0.1` for its Engine, so that images have the same
    /// name wherever the registry is.
    pub registry: Vec<SocketAddr>,
    /// Names or addresses by which sensors and devices reach a sensor manager.
    pub devices: Vec<String>,
    /// Present where the way to them is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Hosts that take over services of hosts that are lost. On each a program, `hostctl`, does what the monitor may ask for, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Whether the monitor acts, or only tells.
    pub acts: bool,
    /// Account that its key lets in, to `hostctl` only.
    pub user: String,
    /// All hosts.
    pub hosts: Vec<RecoveryHost>,
    /// File with the keys of hosts.
    pub known_hosts: PathBuf,
}

/// A host that services are started on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryHost {
    /// Its name.
    pub name: String,
    /// Where the other hosts reach it.
    pub address: IpAddr,
    /// Port of its SSH server.
    pub port: u16,
    /// Fingerprint of its key, where that is what is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Services that it has by itself.
    pub services: Vec<ServiceName>,
}

fn loopback() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

/// Where Kafka is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KafkaSettings {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// Copies of each partition for topics that services create.
    pub replication: i32,
    /// With what services sign in; absent where Kafka asks nobody who he is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// Mechanism of SASL by which they do.
    #[serde(default)]
    pub sasl: Sasl,
    /// Present where links are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// How to sign in to Kafka.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Sasl {
    /// SCRAM with SHA-512: the password itself is never sent.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// SCRAM with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The password as it is; only over TLS.
    #[serde(rename = "PLAIN")]
    Plain,
}

impl Sasl {
    /// Returns the name in the protocol.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
        }
    }
}

/// An account and where its password is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Account {
    /// Each service has its own, of its name; the secret is `service.<name>.password`.
    Own,
    /// All share one that somebody gave to the installation.
    Shared {
        /// Its name.
        username: String,
        /// The secret with its password.
        secret: String,
    },
}

impl Account {
    /// Returns the name and the secret with which a service (or `admin`) signs in.
    #[must_use]
    pub fn of(&self, service: &str) -> (String, String) {
        match self {
            Self::Own => (service.to_owned(), service_password(service)),
            Self::Shared { username, secret } => (username.clone(), secret.clone()),
        }
    }
}

/// Returns the name of the secret with which a service (or `admin`) signs in to Kafka and MongoDB.
#[must_use]
pub fn service_password(service: &str) -> String {
    format!("service.{service}.password")
}

/// Whom to believe that he is who he says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Certificates of authorities, PEM; absent: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// Where MongoDB (or FerretDB behind its write gate) is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MongoSettings {
    /// Connection string without a password.
    pub uri: String,
    /// Database of this installation.
    pub database: String,
    /// With what services sign in; absent where the server asks nobody who he is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// Present where links are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Docker Engine, registry, network of applications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineSettings {
    /// Unix socket of the Engine.
    pub socket: PathBuf,
    /// Swarm-scoped network that application containers join.
    pub network: String,
    /// The bridge's address on this host: the only one an application can reach.
    pub gateway: IpAddr,
    /// `host:port` of the registry of application images.
    pub registry: String,
    /// With what the Engine signs in there; absent where the registry asks nobody who he is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_account: Option<Account>,
    /// Changes when that account's password does: a Swarm service keeps the one it was made with.
    #[serde(default)]
    pub registry_access: String,
    /// Present where the registry speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_tls: Option<Tls>,
    /// Image to start from, by runtime name of the manifest (`python`).
    pub base_images: BTreeMap<String, String>,
    /// Folder with the Python SDK package that is installed into each Python image.
    pub sdk_dir: PathBuf,
    /// CA bundle to give `pip` while an image is built, for hosts behind an inspecting proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<PathBuf>,
}

/// Every port of an installation. See the table in ARCHITECTURE.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Console and REST API.
    pub console: u16,
    /// Applications' pages.
    pub applications: u16,
    /// MQTT for sensors and devices.
    pub mqtt: u16,
    /// HTTP ingestion for sensors and devices.
    pub ingestion: u16,
    /// Console and REST API over TLS, where there is a certificate for people.
    #[serde(default)]
    pub console_tls: u16,
    /// MQTT over TLS, likewise.
    #[serde(default)]
    pub mqtt_tls: u16,
    /// HTTP ingestion over TLS, likewise.
    #[serde(default)]
    pub ingestion_tls: u16,
    /// Sensor manager's gateway for applications, on the internal address.
    pub readings: u16,
    /// Action manager's gateway for applications, on the internal address.
    pub actions: u16,
    /// Node agent, forwards to `readings`, on the bridge.
    pub agent_readings: u16,
    /// Node agent, forwards to `actions`, on the bridge.
    pub agent_actions: u16,
    /// Admin port (health, metrics) of each service by its name, loopback; `agent` for the node agent.
    pub admin: BTreeMap<String, u16>,
}

/// Outgoing mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpSettings {
    /// Server name.
    pub host: String,
    /// Server port.
    pub port: u16,
    /// Sender address.
    pub from: String,
    /// Account, when the server wants one; its password is the secret `smtp.password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Whether to upgrade to TLS.
    pub tls: bool,
}

/// Why settings could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("could not read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what a service expects; `bootstrap up` writes it anew.
    #[error("{path} is not valid at {at}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// JSON path.
        at: String,
        /// What is wrong.
        message: String,
    },
}

impl Settings {
    /// Reads the settings file.
    ///
    /// # Errors
    /// When the file is missing or does not parse.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| SettingsError::Parse {
            path: path.to_owned(),
            at: error.path().to_string(),
            message: error.inner().to_string(),
        })
    }

    /// Reads a secret of this installation as trimmed text.
    ///
    /// # Errors
    /// When the file is missing or unreadable.
    pub fn secret(&self, name: &str) -> Result<String, SettingsError> {
        let path = self.secrets_dir.join(name);
        std::fs::read_to_string(&path)
            .map(|text| text.trim().to_owned())
            .map_err(|source| SettingsError::Read { path, source })
    }
}

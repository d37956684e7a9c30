//! The machines of an installation.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use crate::names::ServiceName;

/// A machine that runs services and applications.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Name as people see it; absent: its address, or the machine's own name where it is this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name or address that people and sensors use to reach it; absent: the machine's first address. Over SSH it must be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Address by which the hosts reach each other, for example the private one of an EC2 instance; absent: `address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_address: Option<Ipv4Addr>,
    /// How it is reached.
    pub connection: Connection,
    /// What is special about the way to it.
    #[serde(skip_serializing_if = "Ssh::is_empty")]
    pub ssh: Ssh,
    /// What runs on it besides applications. Absent: what no other host names is spread over the hosts that name nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<Role>>,
}

/// How a host is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Connection {
    /// It is the machine on which `bootstrap` runs. Then it is the only host.
    #[default]
    Local,
    /// Over SSH.
    Ssh,
}

/// The way to a host. What is absent is taken from the file's `ssh`, and then from the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ssh {
    /// User who signs in: `root`, or one who may use sudo without a password. Default: `ec2-user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Port. Default: 22.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// File with the private key (`.pem`), readable by its owner only. Default: the keys of the SSH agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Fingerprint of the host's own key, as `ssh-keygen -l` prints it; where it is absent, `known_hosts` must have the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^SHA256:[A-Za-z0-9+/]{43}$"))]
    pub host_key: Option<String>,
    /// File with the keys of known hosts. Default: `~/.ssh/known_hosts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<PathBuf>,
    /// Machine through which the way leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bastion: Option<Bastion>,
}

/// A machine through which the way to hosts leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bastion {
    /// Name or address.
    pub address: String,
    /// Port. Default: 22.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// User. Default: the one of the host behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// File with the private key. Default: the one of the host behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Fingerprint of its own key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
}

impl Ssh {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This, and where it says nothing, the defaults.
    #[must_use]
    pub fn or(&self, defaults: &Self) -> Self {
        Self {
            user: self.user.clone().or_else(|| defaults.user.clone()),
            port: self.port.or(defaults.port),
            key: self.key.clone().or_else(|| defaults.key.clone()),
            host_key: self.host_key.clone(),
            known_hosts: self.known_hosts.clone().or_else(|| defaults.known_hosts.clone()),
            bastion: self.bastion.clone().or_else(|| defaults.bastion.clone()),
        }
    }
}

/// Something that runs on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Kafka, where it is managed.
    Kafka,
    /// MongoDB, where it is managed.
    Mongodb,
    /// Registry of application images.
    Registry,
    /// Catalogue, users, console.
    ApplicationManager,
    /// Schedules.
    Scheduler,
    /// Images and instances; on hosts that manage the swarm: the first three, or the first of two.
    Deployer,
    /// Sensors, devices, readings.
    SensorManager,
    /// Notifications and commands.
    ActionManager,
    /// Health.
    Monitor,
}

impl Role {
    /// What is one piece of infrastructure.
    pub const INFRASTRUCTURE: [Self; 3] = [Self::Kafka, Self::Mongodb, Self::Registry];

    /// What has data that nothing else can make again. Images of applications are built from their bundles.
    pub const LASTING: [Self; 2] = [Self::Kafka, Self::Mongodb];

    /// The services, in the order in which they are spread.
    pub const SERVICES: [Self; 6] = [
        Self::ApplicationManager,
        Self::Scheduler,
        Self::Deployer,
        Self::SensorManager,
        Self::ActionManager,
        Self::Monitor,
    ];

    /// The service that it is, where it is one.
    #[must_use]
    pub fn service(self) -> Option<ServiceName> {
        ServiceName::ALL
            .into_iter()
            .find(|service| service.as_str() == self.name())
    }

    /// Its name in `config.json`, of its program and of its unit.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Mongodb => "mongodb",
            Self::Registry => "registry",
            Self::ApplicationManager => "application-manager",
            Self::Scheduler => "scheduler",
            Self::Deployer => "deployer",
            Self::SensorManager => "sensor-manager",
            Self::ActionManager => "action-manager",
            Self::Monitor => "monitor",
        }
    }
}

impl Config {
    /// The host on which everything runs, where it is one machine.
    #[must_use]
    pub fn host(&self) -> Host {
        self.hosts.first().cloned().unwrap_or_default()
    }

    /// Whether the hosts are other machines.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.hosts.iter().any(|host| host.connection == Connection::Ssh)
    }
}

//! Signs of life and verdicts: `service.heartbeats`, `service.events`, `node.events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::ServiceName;
use crate::{Message, Timestamp, Topic};

/// A copy of a service on a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceCopy {
    /// The service.
    pub service: ServiceName,
    /// The host.
    pub host: String,
}

impl std::fmt::Display for ServiceCopy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.service, self.host)
    }
}

/// Signs of life, every 2 seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Heartbeat {
    /// It lives.
    Beat {
        /// Who.
        copy: ServiceCopy,
        /// Version of the program.
        version: String,
        /// Process id.
        pid: u32,
        /// When the process started.
        started: Timestamp,
        /// Whether it does its work.
        ready: bool,
        /// What it waits for when it is not ready.
        waiting_for: Vec<String>,
        /// Resident memory in bytes.
        rss_bytes: u64,
        /// Messages that went to dead-letter topics since the start.
        dead_letters: u64,
        /// Messages of its consumer groups that are still to be handled.
        #[serde(default)]
        lag: u64,
        /// When.
        at: Timestamp,
    },
    /// It is shut down on purpose.
    Farewell {
        /// Who.
        copy: ServiceCopy,
        /// When.
        at: Timestamp,
    },
}

impl Heartbeat {
    /// Returns whose it is.
    #[must_use]
    pub fn copy(&self) -> &ServiceCopy {
        let (Self::Beat { copy, .. } | Self::Farewell { copy, .. }) = self;
        copy
    }
}

/// Health of a copy of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceHealth {
    /// Who.
    pub copy: ServiceCopy,
    /// The verdict.
    pub state: HealthState,
    /// Why, in words.
    pub cause: String,
    /// Since when.
    pub since: Timestamp,
    /// Grows with each change.
    pub version: u64,
}

/// Verdict on a copy of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It beats and is ready.
    Up,
    /// It beats but is not ready.
    NotReady,
    /// Beats are late.
    Suspected,
    /// It is gone.
    Down,
    /// It was shut down on purpose.
    Stopped,
    /// It works, and something needs attention before it does not.
    Degraded,
}

/// What is watched besides services.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Component {
    /// A host of applications: its agent, its Engine, its disk, memory and clock.
    Host {
        /// Its name.
        name: String,
    },
    /// Kafka.
    Kafka,
    /// MongoDB.
    Mongodb,
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host { name } => write!(f, "host/{name}"),
            Self::Kafka => f.write_str("kafka"),
            Self::Mongodb => f.write_str("mongodb"),
        }
    }
}

/// A service that runs on a host in the place of one on a host that is lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Recovery {
    /// The service.
    pub service: ServiceName,
    /// Where it is started.
    pub host: String,
    /// The host that is lost.
    pub instead_of: String,
    /// How far it is.
    pub state: RecoveryState,
    /// Why, or what came of it, in words.
    pub outcome: String,
    /// Since when it is so.
    pub since: Timestamp,
    /// Grows with each change.
    pub version: u64,
}

/// How far a recovery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RecoveryState {
    /// The service was started.
    Started,
    /// It could not be started, or ended; that is tried again.
    Failed,
    /// It was ended, because the lost host is back.
    Ended,
}

/// Health of a component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComponentHealth {
    /// Which.
    pub component: Component,
    /// The verdict.
    pub state: HealthState,
    /// Why, in words.
    pub cause: String,
    /// Since when.
    pub since: Timestamp,
    /// Grows with each change.
    pub version: u64,
}

/// Verdicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServiceEvent {
    /// The verdict changed.
    Changed {
        /// The whole of it.
        health: ServiceHealth,
    },
    /// The monitor started a service in the place of one on a host that is lost, or ended it again.
    Recovered {
        /// The whole of it.
        recovery: Recovery,
    },
    /// The verdict on something else changed.
    ComponentChanged {
        /// The whole of it.
        health: ComponentHealth,
    },
}

/// An application host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Node {
    /// Host name in the swarm.
    pub name: String,
    /// Name of the host in `config.json`, as heartbeats have it; empty in reports of earlier releases.
    #[serde(default)]
    pub host: String,
    /// Address that hosts of the platform reach.
    pub address: String,
    /// Version of the Engine; empty when it does not answer.
    pub engine_version: String,
    /// CPUs.
    pub cpus: u32,
    /// Load over the last minute.
    pub load: f64,
    /// Memory in bytes.
    pub memory_total_bytes: u64,
    /// Memory that is available, in bytes.
    pub memory_available_bytes: u64,
    /// Disk of the data directory in bytes.
    pub disk_total_bytes: u64,
    /// Free disk in bytes.
    pub disk_free_bytes: u64,
    /// Containers of applications that run there.
    pub containers: u32,
    /// When this was so.
    pub at: Timestamp,
}

impl Node {
    /// Name of the host, as verdicts and heartbeats have it.
    #[must_use]
    pub fn host_name(&self) -> &str {
        if self.host.is_empty() { &self.name } else { &self.host }
    }
}

/// What happened to application hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NodeEvent {
    /// The agent's report, every 5 seconds.
    Reported {
        /// The whole of it.
        node: Node,
    },
}

impl Message for Heartbeat {
    const TOPIC: Topic = Topic::ServiceHeartbeats;
    /// One key for all: who hears its own heartbeat hears everyone's, because all come the same way.
    fn key(&self) -> String {
        "heartbeats".to_owned()
    }
}

impl Message for ServiceEvent {
    const TOPIC: Topic = Topic::ServiceEvents;
    fn key(&self) -> String {
        match self {
            Self::Changed { health } => health.copy.to_string(),
            Self::Recovered { recovery } => format!("recovery/{}@{}", recovery.service, recovery.host),
            Self::ComponentChanged { health } => health.component.to_string(),
        }
    }
}

impl Message for NodeEvent {
    const TOPIC: Topic = Topic::NodeEvents;
    fn key(&self) -> String {
        match self {
            Self::Reported { node } => node.name.clone(),
        }
    }
}

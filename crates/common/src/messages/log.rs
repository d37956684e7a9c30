//! What applications and builds print: `app.logs`; who did what: `audit.log`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{InstanceId, Message, Timestamp, Topic, UserId, VersionId};

/// Lines of text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AppLog {
    /// From a container of an instance.
    Instance {
        /// The instance.
        instance: InstanceId,
        /// Container, shortened to 12 characters.
        container: String,
        /// The lines, oldest first.
        lines: Vec<LogLine>,
    },
    /// From the build of a version.
    Build {
        /// The version.
        version: VersionId,
        /// The lines, oldest first.
        lines: Vec<LogLine>,
    },
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Counts within the container or build: (container, number) names the line, so that a repeat is recognised.
    pub number: u64,
    /// When it was printed.
    pub time: Timestamp,
    /// Where it was printed.
    pub stream: Stream,
    /// The text, at most 8 KiB.
    pub text: String,
}

/// Where a line was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The platform's own remark.
    Platform,
}

/// Who did what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AuditEntry {
    /// A change through the REST API.
    Changed {
        /// Who.
        actor: UserId,
        /// Name of who.
        actor_name: String,
        /// Method and route.
        action: String,
        /// What it was done to, in words.
        subject: String,
        /// Status of the answer.
        status: u16,
        /// From where.
        address: String,
        /// When.
        at: Timestamp,
    },
}

impl Message for AppLog {
    const TOPIC: Topic = Topic::AppLogs;
    fn key(&self) -> String {
        match self {
            Self::Instance { instance, .. } => instance.to_string(),
            Self::Build { version, .. } => version.to_string(),
        }
    }
}

impl Message for AuditEntry {
    const TOPIC: Topic = Topic::AuditLog;
    fn key(&self) -> String {
        match self {
            Self::Changed { actor, .. } => actor.to_string(),
        }
    }
}

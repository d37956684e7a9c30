//! Schedules: `schedule.commands`, `schedule.events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::Requester;
use crate::manifest::{Manifest, Values};
use crate::schedule::{Policies, When};
use crate::{ApplicationId, InstanceId, LocationId, Message, ScheduleId, Timestamp, Topic, UserId, VersionId};

/// What is run: the version with all that others need to know of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionRef {
    /// The application.
    pub application: ApplicationId,
    /// The version.
    pub version: VersionId,
    /// Its number.
    pub number: String,
    /// The developer, who sees logs and health.
    pub developer: UserId,
    /// Its manifest.
    pub manifest: Manifest,
}

/// What a person asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleSpec {
    /// What people call it.
    pub name: String,
    /// What is run.
    pub version: VersionRef,
    /// Where: this location and everything below.
    pub location: LocationId,
    /// Path of the location when it was chosen, for display.
    pub location_path: String,
    /// Values of the manifest's parameters, defaults filled in.
    pub parameters: Values,
    /// When.
    pub when: When,
    /// Policies.
    #[serde(default)]
    pub policies: Policies,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Schedule {
    /// Identity.
    pub id: ScheduleId,
    /// The end user.
    pub owner: UserId,
    /// What was asked for.
    pub spec: ScheduleSpec,
    /// Whether it goes on.
    pub status: ScheduleStatus,
    /// Next due moment; none when paused or finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<Timestamp>,
    /// Newest occurrence and its instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Occurrence>,
    /// Occurrences that were skipped, in all.
    #[serde(default)]
    pub skipped: u64,
    /// Newest skipped occurrences, at most 20.
    #[serde(default)]
    pub recent_skips: Vec<Skip>,
    /// When it was created.
    pub created: Timestamp,
    /// Grows with each change.
    pub version: u64,
}

/// Whether a schedule goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ScheduleStatus {
    /// Occurrences are started.
    Active,
    /// Occurrences are skipped until it is resumed.
    Paused,
    /// There are no more occurrences.
    Finished,
}

/// One due moment that was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Occurrence {
    /// When it was due.
    pub due: Timestamp,
    /// Its instance.
    pub instance: InstanceId,
}

/// One due moment that was not started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Skip {
    /// When it was due.
    pub due: Timestamp,
    /// Why it was skipped, in words.
    pub reason: String,
}

/// Changes wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ScheduleCommand {
    /// Create a schedule.
    Create {
        /// Identity, chosen by the sender.
        id: ScheduleId,
        /// Who asks.
        by: Requester,
        /// The end user it belongs to.
        owner: UserId,
        /// What is asked for.
        spec: Box<ScheduleSpec>,
    },
    /// Skip occurrences until resumed.
    Pause {
        /// Which.
        id: ScheduleId,
        /// Who asks.
        by: Requester,
    },
    /// Go on.
    Resume {
        /// Which.
        id: ScheduleId,
        /// Who asks.
        by: Requester,
    },
    /// Delete it; instances that run go on.
    Delete {
        /// Which.
        id: ScheduleId,
        /// Who asks.
        by: Requester,
    },
}

/// What happened to a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ScheduleEvent {
    /// It is new or changed, started or skipped an occurrence.
    Changed {
        /// The whole schedule.
        schedule: Box<Schedule>,
    },
    /// It is gone; a tombstone follows.
    Deleted {
        /// Which.
        id: ScheduleId,
    },
}

impl Message for ScheduleCommand {
    const TOPIC: Topic = Topic::ScheduleCommands;
    fn key(&self) -> String {
        match self {
            Self::Create { id, .. } | Self::Pause { id, .. } | Self::Resume { id, .. } | Self::Delete { id, .. } => {
                id.to_string()
            }
        }
    }
}

impl Message for ScheduleEvent {
    const TOPIC: Topic = Topic::ScheduleEvents;
    fn key(&self) -> String {
        match self {
            Self::Changed { schedule } => schedule.id.to_string(),
            Self::Deleted { id } => id.to_string(),
        }
    }
}

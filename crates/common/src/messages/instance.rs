//! Instances: `instance.commands`, `instance.events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::binding::Missing;
use super::operation::Requester;
use super::schedule::VersionRef;
use crate::manifest::Values;
use crate::{InstanceId, LocationId, Message, ScheduleId, Timestamp, Topic, UserId};

/// What an instance is a run of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InstanceSpec {
    /// The schedule.
    pub schedule: ScheduleId,
    /// Name of the schedule.
    pub schedule_name: String,
    /// When the occurrence was due.
    pub due: Timestamp,
    /// What runs.
    pub version: VersionRef,
    /// Where: this location and everything below.
    pub location: LocationId,
    /// Path of the location, for display.
    pub location_path: String,
    /// Values of the parameters.
    pub parameters: Values,
    /// The end user.
    pub owner: UserId,
    /// When it is to be stopped at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_at: Option<Timestamp>,
}

/// One run of an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Instance {
    /// Identity, derived from the schedule and the due moment.
    pub id: InstanceId,
    /// What it is a run of.
    pub spec: InstanceSpec,
    /// How far it is.
    #[serde(flatten)]
    pub state: InstanceState,
    /// When the state was entered.
    pub since: Timestamp,
    /// When it first ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Containers that ended unexpectedly, in all.
    #[serde(default)]
    pub restarts: u32,
    /// Healthy places where its pages are served.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// Grows with each change.
    pub version: u64,
}

/// Where one replica serves pages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Endpoint {
    /// Address that hosts of the platform reach.
    pub host: String,
    /// Port there.
    pub port: u16,
    /// Host name in the swarm.
    pub node: String,
}

/// How far an instance is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum InstanceState {
    /// It was asked for.
    Requested,
    /// It can not start yet.
    Waiting {
        /// What is missing; tried again by itself.
        missing: Vec<Missing>,
        /// In words, also for reasons other than bindings.
        why: String,
    },
    /// Its container is being started.
    Starting,
    /// It runs.
    Running,
    /// Its container ended unexpectedly and is started again.
    Failing {
        /// Why.
        why: String,
        /// When it is tried again, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_try: Option<Timestamp>,
    },
    /// It was asked to stop.
    Stopping {
        /// Who or what asked, in words.
        why: String,
    },
    /// It ran to completion.
    Succeeded,
    /// It ended in error.
    Failed {
        /// Exit code, where there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i64>,
        /// Why.
        why: String,
    },
    /// It was stopped on request.
    Stopped {
        /// Who or what asked, in words.
        why: String,
    },
}

impl InstanceState {
    /// Whether the instance is over.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed { .. } | Self::Stopped { .. })
    }

    /// Returns the name of the state on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Waiting { .. } => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Failing { .. } => "failing",
            Self::Stopping { .. } => "stopping",
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Stopped { .. } => "stopped",
        }
    }
}

/// Changes wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InstanceCommand {
    /// Run it.
    Start {
        /// Which; derived, so that a repeat is the same instance.
        id: InstanceId,
        /// What it is a run of.
        spec: Box<InstanceSpec>,
    },
    /// Stop it.
    Stop {
        /// Which.
        id: InstanceId,
        /// Why, in words.
        why: String,
        /// Who asks, when it came through the REST API.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Requester>,
    },
}

/// What happened to an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InstanceEvent {
    /// It is new or in another state.
    Changed {
        /// The whole instance.
        instance: Box<Instance>,
    },
    /// It is forgotten; a tombstone follows.
    Deleted {
        /// Which.
        id: InstanceId,
    },
}

impl Message for InstanceCommand {
    const TOPIC: Topic = Topic::InstanceCommands;
    fn key(&self) -> String {
        match self {
            Self::Start { id, .. } | Self::Stop { id, .. } => id.to_string(),
        }
    }
}

impl Message for InstanceEvent {
    const TOPIC: Topic = Topic::InstanceEvents;
    fn key(&self) -> String {
        match self {
            Self::Changed { instance } => instance.id.to_string(),
            Self::Deleted { id } => id.to_string(),
        }
    }
}

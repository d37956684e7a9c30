//! The catalogue: `application.commands`, `application.events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::Manifest;
use crate::{ApplicationId, Message, Timestamp, Topic, UserId, VersionId};

/// An application of the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Application {
    /// Identity.
    pub id: ApplicationId,
    /// Name in addresses.
    pub name: String,
    /// What people see; from the newest manifest.
    pub title: String,
    /// From the newest manifest.
    pub description: String,
    /// The developer.
    pub owner: UserId,
    /// Who sees it in the catalogue.
    pub listed: Listed,
    /// Versions, oldest first.
    pub versions: Vec<ApplicationVersion>,
    /// Grows with each change.
    pub version: u64,
    /// First upload.
    pub created: Timestamp,
    /// Last change.
    pub updated: Timestamp,
}

/// Who sees an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum Listed {
    /// Every user.
    Everyone,
    /// These users (and the owner, and admins).
    Named {
        /// The users.
        users: Vec<UserId>,
    },
}

/// One uploaded version; never changes but for its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplicationVersion {
    /// Identity, derived from application and number.
    pub id: VersionId,
    /// Version number of the manifest.
    pub number: String,
    /// The manifest.
    pub manifest: Manifest,
    /// The bundle.
    pub bundle: BundleRef,
    /// When it was uploaded.
    pub uploaded: Timestamp,
    /// How far it is.
    #[serde(flatten)]
    pub state: VersionState,
}

/// A bundle in GridFS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BundleRef {
    /// SHA-256 of the zip, hex; also its file name.
    pub sha256: String,
    /// Size of the zip in bytes.
    pub size_bytes: u64,
}

/// How far a version is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum VersionState {
    /// Its image is being built.
    Building,
    /// It can be scheduled.
    Ready {
        /// Image by digest.
        image: String,
    },
    /// Its image could not be built.
    Failed {
        /// Why, for the developer.
        reason: String,
    },
}

/// Reports for the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ApplicationCommand {
    /// Record how the build of a version ended.
    RecordBuild {
        /// The application.
        application: ApplicationId,
        /// The version.
        version: VersionId,
        /// Ready or failed.
        #[serde(flatten)]
        outcome: VersionState,
    },
}

/// What happened to an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ApplicationEvent {
    /// It is new or changed.
    Changed {
        /// The whole application.
        application: Box<Application>,
    },
    /// It is gone; a tombstone follows.
    Deleted {
        /// Which.
        id: ApplicationId,
    },
}

impl Message for ApplicationCommand {
    const TOPIC: Topic = Topic::ApplicationCommands;
    fn key(&self) -> String {
        match self {
            Self::RecordBuild { application, .. } => application.to_string(),
        }
    }
}

impl Message for ApplicationEvent {
    const TOPIC: Topic = Topic::ApplicationEvents;
    fn key(&self) -> String {
        match self {
            Self::Changed { application } => application.id.to_string(),
            Self::Deleted { id } => id.to_string(),
        }
    }
}

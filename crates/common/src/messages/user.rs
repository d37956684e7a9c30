//! Users: `user.events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Message, Timestamp, Topic, UserId};

/// A person who signs in. The password hash never leaves the application manager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// Identity.
    pub id: UserId,
    /// Sign-in name.
    pub name: String,
    /// What others see.
    pub title: String,
    /// What the person may do.
    pub roles: Vec<Role>,
    /// Where notifications are mailed, when the person wants that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Where notifications are posted, when the person wants that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// Whether signing in is refused.
    #[serde(default)]
    pub disabled: bool,
    /// When the account was made.
    pub created: Timestamp,
    /// Grows with each change.
    pub version: u64,
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Registers sensors and devices.
    SensorOwner,
    /// Uploads applications.
    Developer,
    /// Runs applications.
    EndUser,
}

/// What happened to a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum UserEvent {
    /// The user is new or changed.
    Changed {
        /// The whole user.
        user: Box<User>,
    },
    /// The user is gone; a tombstone follows.
    Deleted {
        /// Who.
        id: UserId,
    },
}

impl Message for UserEvent {
    const TOPIC: Topic = Topic::UserEvents;
    fn key(&self) -> String {
        match self {
            Self::Changed { user } => user.id.to_string(),
            Self::Deleted { id } => id.to_string(),
        }
    }
}

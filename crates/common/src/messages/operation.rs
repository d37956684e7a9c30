//! Whether a command that came through the REST API was carried out: `operation.events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Message, OperationId, Topic, UserId};

/// Who asks for a change, and the operation under which the answer is awaited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Requester {
    /// The user.
    pub user: UserId,
    /// The operation; the receiving service answers on `operation.events` with it.
    pub operation: OperationId,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OperationEvent {
    /// It was carried out.
    Done {
        /// Which.
        id: OperationId,
        /// Version of the entity afterwards, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
    },
    /// It can not be carried out.
    Refused {
        /// Which.
        id: OperationId,
        /// Kind of refusal.
        reason: Refusal,
        /// For the person: what was found, what is allowed.
        detail: String,
    },
}

/// Kind of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no such thing.
    NotFound,
    /// It is in use, exists already, or another change came first.
    Conflict,
    /// The values do not fit.
    Invalid,
}

impl Message for OperationEvent {
    const TOPIC: Topic = Topic::OperationEvents;
    fn key(&self) -> String {
        match self {
            Self::Done { id, .. } | Self::Refused { id, .. } => id.to_string(),
        }
    }
}

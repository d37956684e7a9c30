//! When an application runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// When the occurrences of a schedule are due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum When {
    /// Once, at the moment the schedule is created.
    Now,
    /// Once, at that moment.
    Once {
        /// The moment.
        at: Timestamp,
    },
    /// By a cron expression (five fields, `@daily` and the like) in the local time of a zone.
    Cron {
        /// The expression.
        expression: String,
        /// IANA name of the zone, such as `Europe/Berlin`.
        zone: String,
    },
}

/// What happens to occurrences that fell due while the scheduler was away or the schedule paused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// None is run; each is recorded.
    Skip,
    /// The latest is run when it is at most an hour late.
    #[default]
    Once,
    /// Each is run, oldest first, at most 100.
    All,
}

/// What happens to an occurrence while the instance of an earlier one still runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is skipped and recorded.
    #[default]
    Forbid,
    /// Both run.
    Allow,
    /// The earlier instance is stopped.
    Replace,
}

/// Policies of a schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Policies {
    /// Missed occurrences.
    pub missed: Missed,
    /// Overlapping occurrences.
    pub overlap: Overlap,
    /// Stop an instance so many seconds after it was due; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_after_seconds: Option<u64>,
}

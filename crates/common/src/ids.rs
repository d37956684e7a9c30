//! Typed ids: mix-ups do not compile. On the wire they are plain UUID strings.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Namespace of all derived (v5) ids of the platform.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_3c0a_55b7_4d0e_9a43_1c7e_2b90_aa17);

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id (a UUID)")]
pub struct IdError(String);

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = "uuid"))]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Creates a new id, ordered by time (v7).
            #[must_use]
            pub fn new() -> Self { Self(Uuid::now_v7()) }
            /// Derives the id (v5) that every retry of the same cause meets again.
            #[must_use]
            pub fn derive(parts: &[&str]) -> Self {
                Self(Uuid::new_v5(&NAMESPACE, parts.join("\u{1f}").as_bytes()))
            }
            /// Returns the UUID itself.
            #[must_use]
            pub fn uuid(self) -> Uuid { self.0 }
            /// Wraps a UUID.
            #[must_use]
            pub fn from_uuid(uuid: Uuid) -> Self { Self(uuid) }
        }
        impl Default for $name { fn default() -> Self { Self::new() } }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, concat!(stringify!($name), "({})"), self.0) }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::parse_str(text).map(Self).map_err(|_| IdError(text.to_owned()))
            }
        }
    )* };
}

ids! {
    /// A notification or a device command.
    ActionId,
    /// An API token of a user.
    ApiTokenId,
    /// An application in the catalogue.
    ApplicationId,
    /// What signs in to send readings: a board, a gateway, a bridge.
    ConnectorId,
    /// What takes commands.
    DeviceId,
    /// One run of an application: derived from its schedule and due moment.
    InstanceId,
    /// A node of the location tree.
    LocationId,
    /// A message on the bus; derived from its cause.
    MessageId,
    /// Work that outlives the request that began it.
    OperationId,
    /// A schedule.
    ScheduleId,
    /// A sensor.
    SensorId,
    /// A user.
    UserId,
    /// One uploaded version of an application: derived from the application and the version number.
    VersionId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_repeat_and_do_not_run_together() {
        assert_eq!(InstanceId::derive(&["a", "b"]), InstanceId::derive(&["a", "b"]));
        assert_ne!(InstanceId::derive(&["a", "b"]), InstanceId::derive(&["ab"]));
        assert_ne!(InstanceId::derive(&["a", "bc"]), InstanceId::derive(&["ab", "c"]));
    }

    #[test]
    fn a_wrong_id_says_what_was_found() {
        assert_eq!(
            "nope".parse::<SensorId>().unwrap_err().to_string(),
            "`nope` is not an id (a UUID)"
        );
    }
}

//! Names of services and slugs.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A process of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ServiceName {
    /// Catalogue, users, REST API, console.
    ApplicationManager,
    /// Schedules to occurrences.
    Scheduler,
    /// Images and instances.
    Deployer,
    /// Registry, ingestion, binding, delivery.
    SensorManager,
    /// Notifications and commands.
    ActionManager,
    /// Health.
    Monitor,
    /// The deployer's agent on an application host.
    Agent,
}

impl ServiceName {
    /// The six services and the node agent.
    pub const ALL: [Self; 7] = [
        Self::ApplicationManager,
        Self::Scheduler,
        Self::Deployer,
        Self::SensorManager,
        Self::ActionManager,
        Self::Monitor,
        Self::Agent,
    ];

    /// Returns the name on the wire, in settings and in file names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApplicationManager => "application-manager",
            Self::Scheduler => "scheduler",
            Self::Deployer => "deployer",
            Self::SensorManager => "sensor-manager",
            Self::ActionManager => "action-manager",
            Self::Monitor => "monitor",
            Self::Agent => "agent",
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is safe in addresses, topics and image names: lower-case letters, digits and inner hyphens, 1–40 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
#[serde(transparent)]
#[schemars(extend("pattern" = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"))]
pub struct Slug(String);

/// Why a text is not a slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a name; allowed are 1 to 40 lower-case letters, digits and inner hyphens, beginning with a letter"
)]
pub struct SlugError(String);

impl Slug {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = SlugError;
    fn from_str(text: &str) -> Result<Self, SlugError> {
        let fits = (1..=40).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(SlugError(text.chars().take(60).collect()))
        }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        for good in ["a", "room-comfort", "t2"] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "A", "-a", "a-", "2a", "a_b", "a/b", "ü", &"a".repeat(41)] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }

    #[test]
    fn service_names_on_the_wire_match_their_text() {
        for name in ServiceName::ALL {
            assert_eq!(serde_json::to_string(&name).unwrap(), format!("\"{name}\""));
        }
    }
}

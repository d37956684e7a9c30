//! Names beside ids: what people see, joined from the view.

use common::messages::user::User;
use common::names::Slug;
use common::{ApplicationId, ConnectorId, DeviceId, InstanceId, LocationId, SensorId, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::view::View;

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PersonRef {
    /// Sign-in name; none when the account was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// What others see.
    pub(crate) title: String,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PlaceRef {
    /// Identity.
    pub(crate) id: LocationId,
    /// Path, such as `Building A / Lab`.
    pub(crate) path: String,
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct TypeRef {
    /// Name in manifests.
    pub(crate) name: Slug,
    /// What people see.
    pub(crate) title: String,
}

/// A connector, sensor, device or instance with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct NamedRef {
    /// Identity.
    pub(crate) id: Uuid,
    /// Name.
    pub(crate) name: String,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ApplicationRef {
    /// Name in addresses; none when it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// What people see.
    pub(crate) title: String,
    /// Number of the version.
    pub(crate) version: String,
}

impl View {
    /// Returns a person for display.
    pub(crate) fn person(&self, id: UserId) -> PersonRef {
        self.users.get(&id).map_or_else(
            || PersonRef {
                name: None,
                title: "a user who was deleted".to_owned(),
            },
            person,
        )
    }

    /// Returns a place for display.
    pub(crate) fn place(&self, id: LocationId) -> PlaceRef {
        PlaceRef {
            id,
            path: self.path(id),
        }
    }

    /// Returns a type for display.
    pub(crate) fn type_ref(&self, name: &Slug) -> TypeRef {
        TypeRef {
            name: name.clone(),
            title: self
                .types
                .get(name)
                .map_or_else(|| name.to_string(), |entry| entry.title.clone()),
        }
    }

    /// Returns a connector for display.
    pub(crate) fn connector_ref(&self, id: ConnectorId) -> NamedRef {
        let name = self.connectors.get(&id).map(|entry| entry.name.clone());
        NamedRef {
            id: id.uuid(),
            name: name.unwrap_or_else(|| "a connector that was deleted".to_owned()),
        }
    }

    /// Returns a sensor for display.
    pub(crate) fn sensor_ref(&self, id: SensorId) -> NamedRef {
        let name = self.sensors.get(&id).map(|entry| entry.name.clone());
        NamedRef {
            id: id.uuid(),
            name: name.unwrap_or_else(|| "a sensor that was deleted".to_owned()),
        }
    }

    /// Returns a device for display.
    pub(crate) fn device_ref(&self, id: DeviceId) -> NamedRef {
        let name = self.devices.get(&id).map(|entry| entry.name.clone());
        NamedRef {
            id: id.uuid(),
            name: name.unwrap_or_else(|| "a device that was deleted".to_owned()),
        }
    }

    /// Returns an instance for display.
    pub(crate) fn instance_ref(&self, id: InstanceId) -> NamedRef {
        let name = self.instances.get(&id).map(|entry| entry.spec.schedule_name.clone());
        NamedRef {
            id: id.uuid(),
            name: name.unwrap_or_else(|| "an instance that was forgotten".to_owned()),
        }
    }

    /// Returns an application for display; `title` is what the manifest of the version said.
    pub(crate) fn application_ref(&self, id: ApplicationId, number: &str, title: &str) -> ApplicationRef {
        ApplicationRef {
            name: self.applications.get(&id).map(|entry| entry.name.clone()),
            title: title.to_owned(),
            version: number.to_owned(),
        }
    }
}

/// Returns a person for display.
pub(crate) fn person(user: &User) -> PersonRef {
    PersonRef {
        name: Some(user.name.clone()),
        title: user.title.clone(),
    }
}

//! Where the registry lies, and the lists that its checks need.

use common::messages::registry::{Entry, EntryId};
use common::{ConnectorId, LocationId};
use runtime::{Entities, Entity, StoreError};
use serde::{Deserialize, Serialize};

use super::decide::{Above, Surroundings};

/// An entry as a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Registered(pub Entry);

impl Entity for Registered {
    const COLLECTION: &'static str = "sensor_manager_registry";
    const INDEXES: &'static [&'static str] = &["type", "location", "connector", "name"];

    fn index(&self) -> Vec<(&'static str, String)> {
        match &self.0 {
            Entry::Type(_) => Vec::new(),
            // Roots share a value, so that their names can be compared as well.
            Entry::Location(entry) => vec![("location", parent_key(entry.parent)), ("name", entry.name.clone())],
            Entry::Connector(entry) => vec![("location", entry.location.to_string())],
            Entry::Sensor(entry) => vec![
                ("type", entry.type_name.to_string()),
                ("location", entry.location.to_string()),
                ("connector", entry.connector.to_string()),
            ],
            Entry::Device(entry) => vec![
                ("type", entry.type_name.to_string()),
                ("location", entry.location.to_string()),
                ("connector", entry.connector.to_string()),
            ],
        }
    }
}

fn parent_key(parent: Option<LocationId>) -> String {
    parent.map_or_else(|| "root".to_owned(), |parent| parent.to_string())
}

/// The registry in the store.
#[derive(Debug, Clone)]
pub struct Registry {
    /// The entries.
    pub entries: Entities<Registered>,
}

impl Registry {
    async fn find(&self, id: &EntryId) -> Result<Option<Entry>, StoreError> {
        Ok(self.entries.get(&id.to_string()).await?.map(|stored| stored.entity.0))
    }

    async fn list(&self, filter: &[(&str, &str)]) -> Result<Vec<Entry>, StoreError> {
        let found = self.entries.list(filter).await?;
        Ok(found.into_iter().map(|stored| stored.entity.0).collect())
    }

    /// Collects what an entry refers to and who refers to it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn surroundings(&self, entry: &Entry) -> Result<Surroundings, StoreError> {
        let mut around = Surroundings {
            users: self.users_of(&entry.id()).await?,
            ..Surroundings::default()
        };
        match entry {
            Entry::Type(_) => {}
            Entry::Location(location) => {
                around.above = self.above(location.parent).await?;
                // Only who has that name already: a place may have thousands of parts.
                let parent = parent_key(location.parent);
                let siblings = self.list(&[("location", &parent), ("name", &location.name)]).await?;
                around.siblings = siblings
                    .into_iter()
                    .filter_map(|entry| match entry {
                        Entry::Location(sibling) if sibling.id != location.id => Some(sibling.name),
                        _ => None,
                    })
                    .collect();
            }
            Entry::Connector(connector) => around.location = self.has_location(connector.location).await?,
            Entry::Sensor(sensor) => {
                around.type_ = self.type_of(&sensor.type_name).await?;
                around.location = self.has_location(sensor.location).await?;
                around.connector = self.has_connector(sensor.connector).await?;
            }
            Entry::Device(device) => {
                around.type_ = self.type_of(&device.type_name).await?;
                around.location = self.has_location(device.location).await?;
                around.connector = self.has_connector(device.connector).await?;
            }
        }
        Ok(around)
    }

    /// Returns who refers to an entry, by kind and name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn users_of(&self, id: &EntryId) -> Result<Vec<String>, StoreError> {
        let users = match id {
            EntryId::Type(name) => self.list(&[("type", name.as_str())]).await?,
            EntryId::Location(id) => self.list(&[("location", &id.to_string())]).await?,
            EntryId::Connector(id) => self.list(&[("connector", &id.to_string())]).await?,
            EntryId::Sensor(_) | EntryId::Device(_) => Vec::new(),
        };
        Ok(users.iter().map(described).collect())
    }

    async fn type_of(
        &self,
        name: &common::names::Slug,
    ) -> Result<Option<common::messages::registry::Type>, StoreError> {
        Ok(match self.find(&EntryId::Type(name.clone())).await? {
            Some(Entry::Type(found)) => Some(found),
            _ => None,
        })
    }

    async fn has_location(&self, id: LocationId) -> Result<bool, StoreError> {
        Ok(self.find(&EntryId::Location(id)).await?.is_some())
    }

    async fn has_connector(&self, id: ConnectorId) -> Result<bool, StoreError> {
        Ok(self.find(&EntryId::Connector(id)).await?.is_some())
    }

    /// Walks from a location to its root; ends after more levels than are allowed.
    async fn above(&self, parent: Option<LocationId>) -> Result<Above, StoreError> {
        let mut chain = Vec::new();
        let mut next = parent;
        while let Some(id) = next {
            match self.find(&EntryId::Location(id)).await? {
                Some(Entry::Location(found)) if chain.len() <= common::rules::matching::MAX_DEPTH => {
                    chain.push(found.id);
                    next = found.parent;
                }
                Some(_) => break,
                None => return Ok(Above::Gap),
            }
        }
        Ok(Above::Chain(chain))
    }
}

fn described(entry: &Entry) -> String {
    match entry {
        Entry::Type(entry) => format!("type `{}`", entry.name),
        Entry::Location(entry) => format!("location `{}`", entry.name),
        Entry::Connector(entry) => format!("connector `{}`", entry.name),
        Entry::Sensor(entry) => format!("sensor `{}`", entry.name),
        Entry::Device(entry) => format!("device `{}`", entry.name),
    }
}

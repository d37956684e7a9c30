//! The building in the platform's registry: looked up by name, and made where it is not there.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::plan::{self, Place};
use crate::api::Client;

/// What the registry says of the building.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Building {
    /// Id of each place by its name, the building's among them.
    pub(super) places: BTreeMap<String, String>,
    /// Id of each connector by its name.
    pub(super) connectors: BTreeMap<String, String>,
    /// Secrets of connectors that were made just now, by id.
    pub(super) secrets: BTreeMap<String, String>,
    /// Id of each sensor by its name.
    pub(super) sensors: BTreeMap<String, String>,
    /// Id of each device by its name.
    pub(super) devices: BTreeMap<String, String>,
}

/// Looks for it; nothing when any part is missing.
pub(super) async fn find(api: &Client) -> Result<Option<Building>> {
    Registrar::new(api, false).building().await
}

/// Whether a simulated sensor has sent something lately. Without the building nobody is waited for: a person may have removed it.
pub(super) async fn is_heard(api: &Client) -> Result<bool> {
    let Some(building) = find(api).await? else {
        return Ok(true);
    };
    let Some(sensor) = building.sensors.values().next() else {
        return Ok(true);
    };
    let sensor = api.get(&format!("/api/v1/sensors/{sensor}")).await?;
    Ok(sensor["signal"] == "live")
}

/// Makes what is missing.
pub(super) async fn make(api: &Client) -> Result<Building> {
    let made = Registrar::new(api, true).building().await?;
    made.context("a part of the building was not registered")
}

/// Finds entries by name and place.
struct Registrar<'a> {
    api: &'a Client,
    may_make: bool,
    lists: BTreeMap<&'static str, Vec<Value>>,
}

impl<'a> Registrar<'a> {
    fn new(api: &'a Client, may_make: bool) -> Self {
        Self {
            api,
            may_make,
            lists: BTreeMap::new(),
        }
    }

    async fn building(mut self) -> Result<Option<Building>> {
        let mut building = Building::default();
        for wanted in plan::types() {
            if self.entry("types", "name", None, &wanted).await?.is_none() {
                return Ok(None);
            }
        }
        let root = json!({ "name": plan::BUILDING, "kind": "building", "grants": [{ "right": "use" }] });
        let Some(root) = self.entry("locations", "name", None, &root).await? else {
            return Ok(None);
        };
        let root = id_of(&root)?;
        building.places.insert(plan::BUILDING.to_owned(), root.clone());
        for place in plan::places() {
            if self.place(&mut building, &root, &place).await?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(building))
    }

    async fn place(&mut self, building: &mut Building, root: &str, place: &Place) -> Result<Option<()>> {
        let body = json!({ "name": place.name, "kind": place.kind, "parent": root });
        let Some(found) = self.entry("locations", "parent", Some(root), &body).await? else {
            return Ok(None);
        };
        let location = id_of(&found)?;
        building.places.insert(place.name.to_owned(), location.clone());

        let body = json!({ "name": place.connector, "location": location });
        let Some(found) = self.entry("connectors", "location", Some(&location), &body).await? else {
            return Ok(None);
        };
        let connector = id_of(&found)?;
        if let Some(secret) = found["credentials"]["secret"].as_str() {
            building.secrets.insert(connector.clone(), secret.to_owned());
        }
        building.connectors.insert(place.connector.clone(), connector.clone());

        let things = place
            .sensors
            .iter()
            .map(|sensor| ("sensors", sensor.name.as_str(), sensor.type_name))
            .chain(
                place
                    .devices
                    .iter()
                    .map(|(name, kind)| ("devices", name.as_str(), *kind)),
            );
        for (collection, name, kind) in things {
            let body = json!({ "name": name, "type": kind, "location": location, "connector": connector });
            let Some(found) = self.entry(collection, "location", Some(&location), &body).await? else {
                return Ok(None);
            };
            let ids = if collection == "sensors" {
                &mut building.sensors
            } else {
                &mut building.devices
            };
            ids.insert(name.to_owned(), id_of(&found)?);
        }
        Ok(Some(()))
    }

    /// Returns the entry of this name at this place, made from `body` where it is not there and may be.
    async fn entry(
        &mut self,
        collection: &'static str,
        field: &str,
        place: Option<&str>,
        body: &Value,
    ) -> Result<Option<Value>> {
        let path = format!("/api/v1/{collection}");
        if !self.lists.contains_key(collection) {
            self.lists.insert(collection, self.api.list(&path).await?);
        }
        let known = self.lists.get(collection).map_or(&[][..], Vec::as_slice);
        let found = known
            .iter()
            .find(|entry| entry["name"] == body["name"] && place.is_none_or(|place| at(&entry[field], place)));
        match found {
            Some(found) => Ok(Some(found.clone())),
            None if self.may_make => self.api.post(&path, body).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Whether a reference, a bare id or an object with one, is to this place.
fn at(reference: &Value, place: &str) -> bool {
    reference == place || reference["id"] == place
}

fn id_of(entry: &Value) -> Result<String> {
    let id = entry["id"].as_str().with_context(|| format!("no id in {entry}"))?;
    Ok(id.to_owned())
}

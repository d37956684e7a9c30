//! What sensors and devices have in common: they are of a type, at a place, carried by a connector. Their routes differ in what
//! they show.

use std::fmt::Display;

use axum::Json;
use axum::response::{IntoResponse, Response};
use common::manifest::ThingKind;
use common::messages::registry::{Device, Entry, EntryId, Sensor};
use common::messages::user::Role;
use common::names::Slug;
use common::{ConnectorId, DeviceId, LocationId, SensorId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Change, must_manage, must_manage_connector};
use crate::access::Caller;
use crate::api::command::etag;
use crate::api::page::{Page, Paging, by_name, page};
use crate::api::{ApiError, Idempotency, IfMatch, text};
use crate::app::App;
use crate::rights::Actor;
use crate::view::View;

/// Which sensors or devices.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// At this place and below.
    location: Option<LocationId>,
    /// Of this type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// `next` of the page before.
    after: Option<String>,
    /// Entries at most, 1 to 500 (100 when not given).
    limit: Option<usize>,
}

impl Which {
    fn paging(&self) -> Paging {
        Paging {
            after: self.after.clone(),
            limit: self.limit,
        }
    }

    /// Whether something is meant.
    fn fits(&self, view: &View, location: LocationId, kind: &Slug) -> bool {
        self.location.is_none_or(|within| view.is_within(location, within))
            && self.kind.as_deref().is_none_or(|wanted| wanted == kind.as_str())
    }
}

/// A new sensor or device.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewThing {
    /// Name.
    name: String,
    /// Name of its type.
    #[serde(rename = "type")]
    kind: Slug,
    /// Where it is.
    location: LocationId,
    /// What carries it.
    connector: ConnectorId,
}

/// What is to be changed of a sensor or device; what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThingChange {
    /// Name.
    name: Option<String>,
    /// Where it is.
    location: Option<LocationId>,
    /// What carries it.
    connector: Option<ConnectorId>,
}

/// What can be changed of a sensor or device.
pub(super) struct Facts<'a> {
    pub(super) name: &'a mut String,
    pub(super) location: &'a mut LocationId,
    pub(super) connector: &'a mut ConnectorId,
}

/// A sensor or a device.
pub(super) trait Thing: Clone + Sized + 'static {
    /// Its kind of types.
    const KIND: ThingKind;
    /// In words.
    const WORD: &'static str;
    /// Its identity.
    type Id: Copy + Display + Ord;
    /// How clients see it.
    type Shown: Serialize;

    fn identity(id: Uuid) -> Self::Id;
    fn new(id: Self::Id, new: NewThing, name: String, created: Timestamp) -> Self;
    fn all(view: &View) -> impl Iterator<Item = (Self::Id, &Self)>;
    fn find(view: &View, id: Self::Id) -> Option<&Self>;
    fn name(&self) -> &str;
    fn type_name(&self) -> &Slug;
    fn location(&self) -> LocationId;
    fn version(&self) -> u64;
    fn facts(&mut self) -> Facts<'_>;
    fn entry(self) -> Entry;
    fn entry_id(id: Self::Id) -> EntryId;
    fn show(&self, app: &App, view: &View, actor: &Actor) -> Self::Shown;
}

macro_rules! thing {
    ($type:ident, $id:ident, $view:ident, $word:literal) => {
        const KIND: ThingKind = ThingKind::$type;
        const WORD: &'static str = $word;
        type Id = $id;

        fn identity(id: Uuid) -> $id {
            $id::from_uuid(id)
        }
        fn new(id: $id, new: NewThing, name: String, created: Timestamp) -> Self {
            Self {
                id,
                name,
                type_name: new.kind,
                location: new.location,
                connector: new.connector,
                created,
                version: 0,
            }
        }
        fn all(view: &View) -> impl Iterator<Item = ($id, &Self)> {
            view.$view.iter().map(|(id, thing)| (*id, thing))
        }
        fn find(view: &View, id: $id) -> Option<&Self> {
            view.$view.get(&id)
        }
        fn name(&self) -> &str {
            &self.name
        }
        fn type_name(&self) -> &Slug {
            &self.type_name
        }
        fn location(&self) -> LocationId {
            self.location
        }
        fn version(&self) -> u64 {
            self.version
        }
        fn facts(&mut self) -> Facts<'_> {
            Facts {
                name: &mut self.name,
                location: &mut self.location,
                connector: &mut self.connector,
            }
        }
        fn entry(self) -> Entry {
            Entry::$type(self)
        }
        fn entry_id(id: $id) -> EntryId {
            EntryId::$type(id)
        }
    };
}

impl Thing for Sensor {
    thing!(Sensor, SensorId, sensors, "sensor");
    type Shown = super::sensors::SensorView;
    fn show(&self, app: &App, view: &View, actor: &Actor) -> Self::Shown {
        super::sensors::show(view, &app.live, actor, self, Timestamp::now())
    }
}

impl Thing for Device {
    thing!(Device, DeviceId, devices, "device");
    type Shown = super::devices::DeviceView;
    fn show(&self, app: &App, view: &View, actor: &Actor) -> Self::Shown {
        super::devices::show(view, &app.live, actor, self)
    }
}

/// Returns the address of one.
pub(super) fn link<T: Thing>(id: T::Id) -> String {
    format!("/api/v1/{}s/{id}", T::WORD)
}

/// Returns one that the person sees.
pub(super) fn visible<'a, T: Thing>(view: &'a View, actor: &Actor, id: T::Id) -> Result<&'a T, ApiError> {
    T::find(view, id)
        .filter(|thing| view.right(actor, thing.location()).is_some())
        .ok_or_else(|| ApiError::not_found(T::WORD))
}

/// Returns one and its version, unless the person does not see it.
fn shown<T: Thing>(app: &App, actor: &Actor, id: T::Id) -> Option<(T::Shown, u64)> {
    let view = app.view.read();
    let thing = visible::<T>(&view, actor, id).ok()?;
    Some((thing.show(app, &view, actor), thing.version()))
}

/// Refuses a type that does not exist or is of the other kind.
fn must_be_type(view: &View, name: &Slug, kind: ThingKind) -> Result<(), ApiError> {
    if view.types.get(name).is_some_and(|facts| facts.kind == kind) {
        return Ok(());
    }
    let known: Vec<&str> = view
        .types
        .values()
        .filter(|facts| facts.kind == kind)
        .map(|facts| facts.name.as_str())
        .collect();
    Err(ApiError::misfit(
        "type",
        format!("`{name}`"),
        common::rules::problem::one_of(name.as_str(), known),
    ))
}

/// Lists those of places where the caller has a right.
pub(super) fn list<T: Thing>(app: &App, caller: &Caller, which: &Which) -> Page<T::Shown> {
    let view = app.view.read();
    let entries = T::all(&view)
        .filter(|(_, thing)| which.fits(&view, thing.location(), thing.type_name()))
        .filter(|(_, thing)| view.right(caller, thing.location()).is_some())
        .map(|(id, thing)| (by_name(thing.name(), id), thing))
        .collect();
    page(entries, &which.paging(), |thing| thing.show(app, &view, caller))
}

/// Returns one.
pub(super) fn get<T: Thing>(app: &App, caller: &Caller, id: T::Id) -> Result<Response, ApiError> {
    let (body, version) = shown::<T>(app, caller, id).ok_or_else(|| ApiError::not_found(T::WORD))?;
    Ok((etag(version), Json(body)).into_response())
}

/// Registers one.
pub(super) async fn create<T: Thing>(
    app: &App,
    caller: &Caller,
    idempotency: &Idempotency,
    new: NewThing,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let change = Change::new(app, caller, idempotency, &format!("POST /{}s", T::WORD));
    let id = T::identity(change.ids.entity);
    {
        let view = app.view.read();
        must_manage(&view, caller, new.location)?;
        must_manage_connector(&view, caller, new.connector)?;
        must_be_type(&view, &new.kind, T::KIND)?;
    }
    let name = text::line("name", &new.name, 100)?;
    let what = format!("register the {} {name}", T::WORD);
    let entry = T::new(id, new, name, Timestamp::now()).entry();
    change
        .put_and_show(entry, None, what, &link::<T>(id), || shown::<T>(app, caller, id))
        .await
}

/// Changes one.
pub(super) async fn change<T: Thing>(
    app: &App,
    caller: &Caller,
    id: T::Id,
    if_match: IfMatch,
    idempotency: &Idempotency,
    wanted: ThingChange,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let change = Change::new(app, caller, idempotency, &format!("PATCH /{}s/{id}", T::WORD));
    let (thing, expected) = {
        let view = app.view.read();
        let mut thing = visible::<T>(&view, caller, id)?.clone();
        must_manage(&view, caller, thing.location())?;
        let expected = if_match.expect(thing.version())?;
        let facts = thing.facts();
        if let Some(name) = wanted.name {
            *facts.name = text::line("name", &name, 100)?;
        }
        if let Some(location) = wanted.location {
            must_manage(&view, caller, location)?;
            *facts.location = location;
        }
        if let Some(connector) = wanted.connector {
            must_manage_connector(&view, caller, connector)?;
            *facts.connector = connector;
        }
        (thing, expected)
    };
    let what = format!("change the {} {}", T::WORD, thing.name());
    change
        .put_and_show(thing.entry(), Some(expected), what, &link::<T>(id), || {
            shown::<T>(app, caller, id)
        })
        .await
}

/// Deletes one.
pub(super) async fn delete<T: Thing>(
    app: &App,
    caller: &Caller,
    id: T::Id,
    idempotency: &Idempotency,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let change = Change::new(app, caller, idempotency, &format!("DELETE /{}s/{id}", T::WORD));
    let what = {
        let view = app.view.read();
        let thing = visible::<T>(&view, caller, id)?;
        must_manage(&view, caller, thing.location())?;
        format!("delete the {} {}", T::WORD, thing.name())
    };
    change.delete_and_answer(T::entry_id(id), what, &link::<T>(id)).await
}

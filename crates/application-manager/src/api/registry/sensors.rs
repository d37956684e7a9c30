//! `/api/v1/sensors`, with their last values and the readings of the last day.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use common::manifest::ThingKind;
use common::messages::registry::{Entry, EntryId, Property, Sensor};
use common::messages::user::Role;
use common::names::Slug;
use common::{ConnectorId, LocationId, SensorId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Change, must_manage, must_manage_connector};
use crate::access::Caller;
use crate::api::command::{answer, answer_deleted, etag};
use crate::api::names::{NamedRef, PlaceRef, TypeRef};
use crate::api::page::{Page, Paging, by_name, page};
use crate::api::readings::{ReadingsView, Span, readings_of};
use crate::api::{ApiError, Args, At, Body, Idempotency, IfMatch, text};
use crate::app::App;
use crate::live::{LiveValues, Point};
use crate::rights::Actor;
use crate::view::View;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(readings))
}

/// Whether a sensor sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SignalState {
    /// It sends as expected.
    Live,
    /// It should have sent by now.
    Late,
    /// It has not sent for long.
    Silent,
    /// Nothing is known to have come from it.
    Never,
}

/// Seconds between readings when the type does not say.
const USUAL_INTERVAL: i64 = 60;

/// Judges the newest reading. Pure.
pub(crate) fn signal_state(last: Option<Timestamp>, interval_seconds: Option<u32>, now: Timestamp) -> SignalState {
    let Some(last) = last else { return SignalState::Never };
    let interval = interval_seconds.map_or(USUAL_INTERVAL, i64::from) * 1000;
    let age = now.millis_since(last);
    // Below that, jitter of networks would make it blink.
    if age <= (2 * interval).max(15_000) {
        SignalState::Live
    } else if age <= (10 * interval).max(60_000) {
        SignalState::Late
    } else {
        SignalState::Silent
    }
}

/// A sensor as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SensorView {
    /// Identity.
    id: SensorId,
    /// Name.
    name: String,
    /// Its type.
    #[serde(rename = "type")]
    kind: TypeRef,
    /// What it measures.
    properties: BTreeMap<String, Property>,
    /// Seconds within which it is expected to send.
    expected_interval_seconds: Option<u32>,
    /// Where it is.
    location: PlaceRef,
    /// What carries it.
    connector: NamedRef,
    /// Newest reading.
    last: Option<Point>,
    /// Whether it sends.
    signal: SignalState,
    /// Whether the caller may change it.
    may_manage: bool,
    /// When it was registered.
    created: Timestamp,
    /// Grows with each change.
    version: u64,
}

/// Renders a sensor.
pub(crate) fn show(view: &View, live: &LiveValues, actor: &Actor, sensor: &Sensor, now: Timestamp) -> SensorView {
    let facts = view.types.get(&sensor.type_name);
    let interval = facts.and_then(|facts| facts.expected_interval_seconds);
    let last = live.last(sensor.id);
    SensorView {
        id: sensor.id,
        name: sensor.name.clone(),
        kind: view.type_ref(&sensor.type_name),
        properties: facts.map(|facts| facts.properties.clone()).unwrap_or_default(),
        expected_interval_seconds: interval,
        location: view.place(sensor.location),
        connector: view.connector_ref(sensor.connector),
        signal: signal_state(last.as_ref().map(|point| point.time), interval, now),
        last,
        may_manage: view.manages(actor, sensor.location),
        created: sensor.created,
        version: sensor.version,
    }
}

/// Which sensors or devices.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// At this place and below.
    pub(crate) location: Option<LocationId>,
    /// Of this type.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// `next` of the page before.
    after: Option<String>,
    /// Entries at most, 1 to 500 (100 when not given).
    limit: Option<usize>,
}

impl Which {
    /// Returns the part of the list.
    pub(crate) fn paging(&self) -> Paging {
        Paging {
            after: self.after.clone(),
            limit: self.limit,
        }
    }

    /// Whether something is meant.
    pub(crate) fn fits(&self, view: &View, location: LocationId, kind: &Slug) -> bool {
        self.location.is_none_or(|within| view.is_within(location, within))
            && self.kind.as_deref().is_none_or(|wanted| wanted == kind.as_str())
    }
}

/// A new sensor or device.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewThing {
    /// Name.
    pub(crate) name: String,
    /// Name of its type.
    #[serde(rename = "type")]
    pub(crate) kind: Slug,
    /// Where it is.
    pub(crate) location: LocationId,
    /// What carries it.
    pub(crate) connector: ConnectorId,
}

/// What is to be changed of a sensor or device; what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThingChange {
    /// Name.
    pub(crate) name: Option<String>,
    /// Where it is.
    pub(crate) location: Option<LocationId>,
    /// What carries it.
    pub(crate) connector: Option<ConnectorId>,
}

/// Refuses a type that does not exist or is of the other kind.
pub(crate) fn must_be_type(view: &View, name: &Slug, kind: ThingKind) -> Result<(), ApiError> {
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

fn link(id: SensorId) -> String {
    format!("/api/v1/sensors/{id}")
}

/// Lists the sensors of places where the caller has a right.
#[utoipa::path(get, path = "/api/v1/sensors", tag = "registry", params(Which), responses((status = 200, body = Page<SensorView>)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(which): Args<Which>,
) -> Result<Json<Page<SensorView>>, ApiError> {
    let now = Timestamp::now();
    let view = app.view.read();
    let entries = view
        .sensors
        .values()
        .filter(|entry| which.fits(&view, entry.location, &entry.type_name))
        .filter(|entry| view.right(&caller, entry.location).is_some())
        .map(|entry| (by_name(&entry.name, entry.id), entry))
        .collect();
    Ok(Json(page(entries, &which.paging(), |entry| {
        show(&view, &app.live, &caller, entry, now)
    })))
}

/// Registers a sensor.
#[utoipa::path(post, path = "/api/v1/sensors", tag = "registry", request_body = NewThing,
    responses((status = 201, body = SensorView), (status = 202, body = crate::api::command::Accepted)))]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    Body(new): Body<NewThing>,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let change = Change::new(&app, &caller, &idempotency, "POST /sensors");
    let id = SensorId::from_uuid(change.ids.entity);
    {
        let view = app.view.read();
        must_manage(&view, &caller, new.location)?;
        must_manage_connector(&view, &caller, new.connector)?;
        must_be_type(&view, &new.kind, ThingKind::Sensor)?;
    }
    let sensor = Sensor {
        id,
        name: text::line("name", &new.name, 100)?,
        type_name: new.kind,
        location: new.location,
        connector: new.connector,
        created: Timestamp::now(),
        version: 0,
    };
    let what = format!("register the sensor {}", sensor.name);
    let (carried, _) = change.put(Entry::Sensor(sensor), None, what, &link(id)).await?;
    let shown = shown(&app, &caller, id);
    Ok(answer(
        &carried,
        change.ids.operation,
        StatusCode::CREATED,
        &link(id),
        shown,
    ))
}

/// Returns a sensor and its version, unless the person does not see it.
fn shown(app: &App, actor: &Actor, id: SensorId) -> Option<(SensorView, u64)> {
    let view = app.view.read();
    let sensor = view.sensors.get(&id)?;
    view.right(actor, sensor.location)?;
    Some((show(&view, &app.live, actor, sensor, Timestamp::now()), sensor.version))
}

/// Returns a sensor.
#[utoipa::path(get, path = "/api/v1/sensors/{id}", tag = "registry", params(("id" = SensorId, Path)),
    responses((status = 200, body = SensorView)))]
async fn get(State(app): State<Arc<App>>, caller: Caller, At(id): At<SensorId>) -> Result<Response, ApiError> {
    let (body, version) = shown(&app, &caller, id).ok_or_else(|| ApiError::not_found("sensor"))?;
    Ok((etag(version), Json(body)).into_response())
}

/// Changes a sensor.
#[utoipa::path(patch, path = "/api/v1/sensors/{id}", tag = "registry", params(("id" = SensorId, Path)), request_body = ThingChange,
    responses((status = 200, body = SensorView), (status = 202, body = crate::api::command::Accepted)))]
async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<SensorId>,
    if_match: IfMatch,
    idempotency: Idempotency,
    Body(wanted): Body<ThingChange>,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let change = Change::new(&app, &caller, &idempotency, &format!("PATCH /sensors/{id}"));
    let (sensor, expected) = {
        let view = app.view.read();
        let mut sensor = visible(&view, &caller, id)?.clone();
        must_manage(&view, &caller, sensor.location)?;
        let expected = if_match.expect(sensor.version)?;
        if let Some(name) = wanted.name {
            sensor.name = text::line("name", &name, 100)?;
        }
        if let Some(location) = wanted.location {
            must_manage(&view, &caller, location)?;
            sensor.location = location;
        }
        if let Some(connector) = wanted.connector {
            must_manage_connector(&view, &caller, connector)?;
            sensor.connector = connector;
        }
        (sensor, expected)
    };
    let what = format!("change the sensor {}", sensor.name);
    let (carried, _) = change
        .put(Entry::Sensor(sensor), Some(expected), what, &link(id))
        .await?;
    let shown = shown(&app, &caller, id);
    Ok(answer(&carried, change.ids.operation, StatusCode::OK, &link(id), shown))
}

/// Returns a sensor that the person sees.
pub(crate) fn visible<'a>(view: &'a View, actor: &Actor, id: SensorId) -> Result<&'a Sensor, ApiError> {
    view.sensors
        .get(&id)
        .filter(|entry| view.right(actor, entry.location).is_some())
        .ok_or_else(|| ApiError::not_found("sensor"))
}

/// Deletes a sensor.
#[utoipa::path(delete, path = "/api/v1/sensors/{id}", tag = "registry", params(("id" = SensorId, Path)),
    responses((status = 204), (status = 202, body = crate::api::command::Accepted)))]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<SensorId>,
    idempotency: Idempotency,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let change = Change::new(&app, &caller, &idempotency, &format!("DELETE /sensors/{id}"));
    let what = {
        let view = app.view.read();
        let sensor = visible(&view, &caller, id)?;
        must_manage(&view, &caller, sensor.location)?;
        format!("delete the sensor {}", sensor.name)
    };
    let carried = change.delete(EntryId::Sensor(id), what, &link(id)).await?;
    Ok(answer_deleted(&carried))
}

/// Returns the readings of a sensor, of the last day at most.
#[utoipa::path(get, path = "/api/v1/sensors/{id}/readings", tag = "registry", params(("id" = SensorId, Path), Span),
    responses((status = 200, body = ReadingsView)))]
async fn readings(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<SensorId>,
    Args(span): Args<Span>,
) -> Result<Json<ReadingsView>, ApiError> {
    visible(&app.view.read(), &caller, id)?;
    let span = span.resolve(Timestamp::now())?;
    Ok(Json(readings_of(&app, id, &span).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_judged_by_the_expected_interval() {
        let now = Timestamp::from_millis(10_000_000);
        let ago = |seconds: i64| Some(now.plus_millis(-seconds * 1000));
        let table = [
            (None, Some(10), SignalState::Never),
            (ago(0), None, SignalState::Live),
            (ago(14), Some(1), SignalState::Live),
            (ago(16), Some(1), SignalState::Late),
            (ago(61), Some(1), SignalState::Silent),
            (ago(119), None, SignalState::Live),
            (ago(599), None, SignalState::Late),
            (ago(601), None, SignalState::Silent),
        ];
        for (last, interval, expected) in table {
            assert_eq!(signal_state(last, interval, now), expected, "{last:?} {interval:?}");
        }
    }
}

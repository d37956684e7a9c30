//! `/api/v1/sensors`, with their last values and the readings of the last day.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use common::messages::registry::{Property, Sensor};
use common::{SensorId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::things::{self, NewThing, ThingChange, Which};
use crate::access::Caller;
use crate::api::names::{NamedRef, PlaceRef, TypeRef};
use crate::api::page::Page;
use crate::api::readings::{ReadingsView, Span, readings_of};
use crate::api::{ApiError, Args, At, Body, Idempotency, IfMatch};
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

/// Lists the sensors of places where the caller has a right.
#[utoipa::path(get, path = "/api/v1/sensors", tag = "registry", params(Which), responses((status = 200, body = Page<SensorView>)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(which): Args<Which>,
) -> Result<Json<Page<SensorView>>, ApiError> {
    Ok(Json(things::list::<Sensor>(&app, &caller, &which)))
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
    things::create::<Sensor>(&app, &caller, &idempotency, new).await
}

/// Returns a sensor.
#[utoipa::path(get, path = "/api/v1/sensors/{id}", tag = "registry", params(("id" = SensorId, Path)),
    responses((status = 200, body = SensorView)))]
async fn get(State(app): State<Arc<App>>, caller: Caller, At(id): At<SensorId>) -> Result<Response, ApiError> {
    things::get::<Sensor>(&app, &caller, id)
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
    things::change::<Sensor>(&app, &caller, id, if_match, &idempotency, wanted).await
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
    things::delete::<Sensor>(&app, &caller, id, &idempotency).await
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
    things::visible::<Sensor>(&app.view.read(), &caller, id)?;
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

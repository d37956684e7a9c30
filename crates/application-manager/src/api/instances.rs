//! `/api/v1/instances`: what runs and ran.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use common::manifest::{Kind, ThingKind, Values};
use common::messages::binding::BindingState;
use common::messages::instance::{Instance, InstanceCommand, InstanceState};
use common::{InstanceId, ScheduleId, SensorId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::actions::{CommandView, NotificationView, commands_page, notifications_page};
use super::applications::Lines;
use super::command::{Ask, answer, etag};
use super::names::{ApplicationRef, PersonRef, PlaceRef};
use super::page::{Page, Paging, newest_first, page};
use super::readings::{ReadingsView, Span, readings_of};
use super::schedules::place_path;
use super::{ApiError, Args, At, Idempotency};
use crate::access::Caller;
use crate::app::App;
use crate::encryption::host_name;
use crate::logs::{LogPage, LogSource};
use crate::rights::{self, Actor, Sight};
use crate::view::View;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(stop))
        .routes(routes!(logs))
        .routes(routes!(notifications))
        .routes(routes!(commands))
        .routes(routes!(readings))
        .routes(routes!(page_address))
}

/// An instance as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct InstanceView {
    /// Identity.
    id: InstanceId,
    /// Name of its schedule.
    name: String,
    /// The schedule; none when it was deleted.
    schedule: Option<ScheduleId>,
    /// What runs.
    application: ApplicationRef,
    /// Whether it runs until stopped or to completion.
    kind: Kind,
    /// The end user.
    owner: PersonRef,
    /// Where: this location and everything below.
    location: PlaceRef,
    /// Values of the parameters; not shown to the developer.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Values>,
    /// When the occurrence was due.
    due: Timestamp,
    /// How far it is.
    #[serde(flatten)]
    state: InstanceState,
    /// When the state was entered.
    since: Timestamp,
    /// When it first ran.
    started: Option<Timestamp>,
    /// When it ended.
    ended: Option<Timestamp>,
    /// When it is to be stopped at the latest.
    stop_at: Option<Timestamp>,
    /// Containers that ended unexpectedly, in all.
    restarts: u32,
    /// Whether it serves pages.
    has_page: bool,
    /// Healthy places where its pages are served.
    endpoints: usize,
    /// What its slots are bound to; not shown to the developer.
    binding: Option<BindingState>,
    /// Whether the caller sees and may do everything; otherwise only state and logs.
    full: bool,
    /// Grows with each change.
    version: u64,
}

/// Renders an instance.
pub(crate) fn show(view: &View, sight: Sight, instance: &Instance) -> InstanceView {
    let spec = &instance.spec;
    let full = sight == Sight::All;
    let binding = view.bindings.get(&instance.id).filter(|_| full);
    InstanceView {
        id: instance.id,
        name: spec.schedule_name.clone(),
        schedule: view.schedules.contains_key(&spec.schedule).then_some(spec.schedule),
        application: view.application_ref(
            spec.version.application,
            &spec.version.number,
            &spec.version.manifest.title,
        ),
        kind: spec.version.manifest.kind,
        owner: view.person(spec.owner),
        location: PlaceRef {
            id: spec.location,
            path: place_path(view, spec.location, &spec.location_path),
        },
        parameters: full.then(|| spec.parameters.clone()),
        due: spec.due,
        state: instance.state.clone(),
        since: instance.since,
        started: instance.started,
        ended: instance.ended,
        stop_at: spec.stop_at,
        restarts: instance.restarts,
        has_page: spec.version.manifest.page.is_some(),
        endpoints: instance.endpoints.len(),
        binding: binding.map(|binding| binding.state.clone()),
        full,
        version: instance.version,
    }
}

/// Returns how much someone sees of an instance.
pub(crate) fn sight_of(actor: &Actor, instance: &Instance) -> Option<Sight> {
    rights::sight(actor, instance.spec.owner, instance.spec.version.developer)
}

/// Returns an instance that the person sees at least so much of.
fn visible(view: &View, actor: &Actor, id: InstanceId, at_least: Sight) -> Result<(Instance, Sight), ApiError> {
    let found = view
        .instances
        .get(&id)
        .and_then(|instance| Some((instance, sight_of(actor, instance)?)));
    match found {
        None => Err(ApiError::not_found("instance")),
        Some((_, sight)) if sight < at_least => Err(ApiError::forbidden(
            "a developer sees state and logs; the rest belongs to the end user",
        )),
        Some((instance, sight)) => Ok((instance.clone(), sight)),
    }
}

/// Which instances.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct WhichInstances {
    /// Of this schedule.
    schedule: Option<ScheduleId>,
    /// Of the application of this name.
    application: Option<String>,
    /// Only those that are not over (`true`) or are (`false`).
    active: Option<bool>,
    /// `next` of the page before.
    after: Option<String>,
    /// Entries at most, 1 to 500 (100 when not given).
    limit: Option<usize>,
}

/// Lists instances, newest first: the own ones, and those of the own applications.
#[utoipa::path(get, path = "/api/v1/instances", tag = "instances", params(WhichInstances), responses((status = 200, body = Page<InstanceView>)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(which): Args<WhichInstances>,
) -> Result<Json<Page<InstanceView>>, ApiError> {
    let view = app.view.read();
    let application = which
        .application
        .as_deref()
        .map(|name| view.application_named(name).map(|found| found.id));
    let entries = view
        .instances
        .values()
        .filter(|entry| which.schedule.is_none_or(|schedule| entry.spec.schedule == schedule))
        .filter(|entry| application.is_none_or(|wanted| wanted == Some(entry.spec.version.application)))
        .filter(|entry| which.active.is_none_or(|active| active != entry.state.is_final()))
        .filter_map(|entry| {
            Some((
                newest_first(entry.spec.due, entry.id),
                (sight_of(&caller, entry)?, entry),
            ))
        })
        .collect();
    let paging = Paging {
        after: which.after.clone(),
        limit: which.limit,
    };
    Ok(Json(page(entries, &paging, |(sight, entry)| show(&view, sight, entry))))
}

/// Returns an instance.
#[utoipa::path(get, path = "/api/v1/instances/{id}", tag = "instances", params(("id" = InstanceId, Path)),
    responses((status = 200, body = InstanceView)))]
async fn get(State(app): State<Arc<App>>, caller: Caller, At(id): At<InstanceId>) -> Result<Response, ApiError> {
    let view = app.view.read();
    let (instance, sight) = visible(&view, &caller, id, Sight::Health)?;
    Ok((etag(instance.version), Json(show(&view, sight, &instance))).into_response())
}

/// Stops an instance.
#[utoipa::path(post, path = "/api/v1/instances/{id}/stop", tag = "instances", params(("id" = InstanceId, Path)),
    responses((status = 200, body = InstanceView), (status = 202, body = super::command::Accepted)))]
async fn stop(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<InstanceId>,
    idempotency: Idempotency,
) -> Result<Response, ApiError> {
    let (instance, sight) = visible(&app.view.read(), &caller, id, Sight::All)?;
    if instance.state.is_final() {
        return Err(ApiError::conflict("it is over already"));
    }
    let ids = idempotency.ids(&caller, &format!("POST /instances/{id}/stop"));
    let link = format!("/api/v1/instances/{id}");
    let ask = Ask {
        actor: &caller,
        ids,
        idempotency: &idempotency,
        what: format!("stop {}", instance.spec.schedule_name),
        link: link.clone(),
    };
    let command = InstanceCommand::Stop {
        id,
        why: format!("{} asked for it", caller.title),
        by: Some(ask.by()),
    };
    let known = |view: &View, version| view.instances.get(&id).is_some_and(|known| known.version >= version);
    let (carried, _) = ask.carry_out(&app, command, known).await?;
    let shown = {
        let view = app.view.read();
        view.instances
            .get(&id)
            .map(|known| (show(&view, sight, known), known.version))
    };
    Ok(answer(&carried, ids.operation, StatusCode::OK, &link, shown))
}

/// Returns the newest log lines of an instance, oldest first.
#[utoipa::path(get, path = "/api/v1/instances/{id}/logs", tag = "instances", params(("id" = InstanceId, Path), Lines),
    responses((status = 200, body = LogPage)))]
async fn logs(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<InstanceId>,
    Args(lines): Args<Lines>,
) -> Result<Json<LogPage>, ApiError> {
    visible(&app.view.read(), &caller, id, Sight::Health)?;
    Ok(Json(app.logs.query(LogSource::Instance(id), &lines.query()?).await?))
}

/// Lists the notifications of an instance, newest first.
#[utoipa::path(get, path = "/api/v1/instances/{id}/notifications", tag = "instances", params(("id" = InstanceId, Path), Paging),
    responses((status = 200, body = Page<NotificationView>)))]
async fn notifications(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<InstanceId>,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<NotificationView>>, ApiError> {
    visible(&app.view.read(), &caller, id, Sight::All)?;
    Ok(Json(
        notifications_page(&app, "instance", id.to_string(), &paging).await?,
    ))
}

/// Lists the device commands of an instance, newest first.
#[utoipa::path(get, path = "/api/v1/instances/{id}/commands", tag = "instances", params(("id" = InstanceId, Path), Paging),
    responses((status = 200, body = Page<CommandView>)))]
async fn commands(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<InstanceId>,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<CommandView>>, ApiError> {
    visible(&app.view.read(), &caller, id, Sight::All)?;
    Ok(Json(commands_page(&app, "instance", id.to_string(), &paging).await?))
}

/// Readings of what an instance is bound to.
#[derive(Debug, Serialize, ToSchema)]
struct InstanceReadings {
    /// By slot.
    slots: BTreeMap<String, Vec<ReadingsView>>,
}

/// Sensors that are answered at once.
const MOST_SENSORS: usize = 50;

/// Returns the readings of the sensors that an instance is bound to, of the last day at most.
#[utoipa::path(get, path = "/api/v1/instances/{id}/readings", tag = "instances", params(("id" = InstanceId, Path), Span),
    responses((status = 200, body = InstanceReadings)))]
async fn readings(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<InstanceId>,
    Args(span): Args<Span>,
) -> Result<Json<InstanceReadings>, ApiError> {
    let span = span.resolve(Timestamp::now())?;
    let bound: Vec<(String, SensorId)> = {
        let view = app.view.read();
        visible(&view, &caller, id, Sight::All)?;
        let slots = match view.bindings.get(&id).map(|binding| &binding.state) {
            Some(BindingState::Bound { slots }) => slots.clone(),
            _ => BTreeMap::new(),
        };
        slots
            .into_iter()
            .filter(|(_, slot)| slot.kind == ThingKind::Sensor)
            .flat_map(|(name, slot)| {
                let members = slot.members.into_iter();
                members.map(move |member| (name.clone(), SensorId::from_uuid(member.id)))
            })
            .take(MOST_SENSORS)
            .collect()
    };
    let mut slots: BTreeMap<String, Vec<ReadingsView>> = BTreeMap::new();
    for (slot, sensor) in bound {
        slots
            .entry(slot)
            .or_default()
            .push(readings_of(&app, sensor, &span).await?);
    }
    Ok(Json(InstanceReadings { slots }))
}

/// Where the pages of an instance are.
#[derive(Debug, Serialize, ToSchema)]
struct PageAddress {
    /// The address; only this person should have it.
    url: String,
}

/// Returns the address of the pages of an instance, for the caller only.
#[utoipa::path(get, path = "/api/v1/instances/{id}/page", tag = "instances", params(("id" = InstanceId, Path)),
    responses((status = 200, body = PageAddress)))]
async fn page_address(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    At(id): At<InstanceId>,
) -> Result<Json<PageAddress>, ApiError> {
    let (instance, _) = visible(&app.view.read(), &caller, id, Sight::All)?;
    if instance.spec.version.manifest.page.is_none() {
        return Err(ApiError::not_found("page: this application has none"));
    }
    if instance.state.is_final() {
        return Err(ApiError::conflict("the instance is over and serves no pages any more"));
    }
    let url = app.pages.address_for(caller.id, id, host_name(&headers)).await?;
    Ok(Json(PageAddress { url }))
}

//! `/api/v1/schedules`: what runs when, where, with which parameters.

mod new;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use common::manifest::Values;
use common::messages::schedule::{Schedule, ScheduleCommand, ScheduleStatus, Skip};
use common::messages::user::Role;
use common::rules::occurrences;
use common::schedule::{Policies, When};
use common::{LocationId, ScheduleId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use new::{NewSchedule, specify};

use super::command::{Ask, Carried, answer, answer_deleted, etag};
use super::names::{ApplicationRef, NamedRef, PersonRef, PlaceRef};
use super::page::{Page, Paging, newest_first, page};
use super::{ApiError, Args, At, Body, Idempotency};
use crate::access::Caller;
use crate::app::App;
use crate::rights::Actor;
use crate::view::View;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(preview))
        .routes(routes!(get, delete))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

/// A schedule as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ScheduleView {
    /// Identity.
    id: ScheduleId,
    /// What people call it.
    name: String,
    /// The end user.
    owner: PersonRef,
    /// What is run.
    application: ApplicationRef,
    /// Where: this location and everything below.
    location: PlaceRef,
    /// Values of the parameters.
    #[schema(value_type = Object)]
    parameters: Values,
    /// When.
    when: When,
    /// When, in words.
    words: String,
    /// Policies.
    policies: Policies,
    /// Whether it goes on.
    status: ScheduleStatus,
    /// Next due moment; none when paused or finished.
    next_due: Option<Timestamp>,
    /// Newest occurrence.
    last: Option<OccurrenceView>,
    /// Occurrences that were skipped, in all.
    skipped: u64,
    /// Newest skipped occurrences.
    recent_skips: Vec<Skip>,
    /// When it was created.
    created: Timestamp,
    /// Grows with each change.
    version: u64,
}

/// One due moment that was started.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct OccurrenceView {
    /// When it was due.
    due: Timestamp,
    /// Its instance.
    instance: NamedRef,
    /// State of the instance.
    state: Option<&'static str>,
}

/// Renders a schedule.
pub(crate) fn show(view: &View, schedule: &Schedule) -> ScheduleView {
    let spec = &schedule.spec;
    ScheduleView {
        id: schedule.id,
        name: spec.name.clone(),
        owner: view.person(schedule.owner),
        application: view.application_ref(
            spec.version.application,
            &spec.version.number,
            &spec.version.manifest.title,
        ),
        location: PlaceRef {
            id: spec.location,
            path: place_path(view, spec.location, &spec.location_path),
        },
        parameters: spec.parameters.clone(),
        when: spec.when.clone(),
        words: occurrences::words(&spec.when),
        policies: spec.policies,
        status: schedule.status,
        next_due: schedule.next_due,
        last: schedule.last.as_ref().map(|last| OccurrenceView {
            due: last.due,
            instance: view.instance_ref(last.instance),
            state: view.instances.get(&last.instance).map(|instance| instance.state.name()),
        }),
        skipped: schedule.skipped,
        recent_skips: schedule.recent_skips.clone(),
        created: schedule.created,
        version: schedule.version,
    }
}

/// Returns the path of a place: as it is, or as it was when it is gone.
pub(crate) fn place_path(view: &View, location: LocationId, chosen: &str) -> String {
    if view.locations.contains_key(&location) {
        view.path(location)
    } else {
        chosen.to_owned()
    }
}

fn link(id: ScheduleId) -> String {
    format!("/api/v1/schedules/{id}")
}

/// Lists the own schedules, newest first; an admin sees all.
#[utoipa::path(get, path = "/api/v1/schedules", tag = "schedules", params(Paging), responses((status = 200, body = Page<ScheduleView>)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<ScheduleView>>, ApiError> {
    let view = app.view.read();
    let entries = view
        .schedules
        .values()
        .filter(|schedule| sees(&caller, schedule))
        .map(|schedule| (newest_first(schedule.created, schedule.id), schedule))
        .collect();
    Ok(Json(page(entries, &paging, |schedule| show(&view, schedule))))
}

/// Whether the person sees a schedule.
pub(crate) fn sees(actor: &Actor, schedule: &Schedule) -> bool {
    actor.is_admin() || schedule.owner == actor.id
}

fn visible(view: &View, actor: &Actor, id: ScheduleId) -> Result<Schedule, ApiError> {
    view.schedules
        .get(&id)
        .filter(|schedule| sees(actor, schedule))
        .cloned()
        .ok_or_else(|| ApiError::not_found("schedule"))
}

/// Makes a schedule.
#[utoipa::path(post, path = "/api/v1/schedules", tag = "schedules", request_body = NewSchedule,
    responses((status = 201, body = ScheduleView), (status = 202, body = super::command::Accepted)))]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    Body(new): Body<NewSchedule>,
) -> Result<Response, ApiError> {
    caller.must_be(Role::EndUser)?;
    let ids = idempotency.ids(&caller, "POST /schedules");
    let id = ScheduleId::from_uuid(ids.entity);
    let spec = specify(&app.view.read(), &caller, new, Timestamp::now())?;
    let ask = Ask {
        actor: &caller,
        ids,
        idempotency: &idempotency,
        what: format!("schedule {}", spec.name),
        link: link(id),
    };
    let command = ScheduleCommand::Create {
        id,
        by: ask.by(),
        owner: caller.id,
        spec: Box::new(spec),
    };
    let (carried, _) = ask
        .carry_out(&app, command, |view, version| known(view, id, version))
        .await?;
    Ok(answer(
        &carried,
        ids.operation,
        StatusCode::CREATED,
        &link(id),
        shown(&app, id),
    ))
}

fn known(view: &View, id: ScheduleId, version: u64) -> bool {
    view.schedules
        .get(&id)
        .is_some_and(|schedule| schedule.version >= version)
}

fn shown(app: &App, id: ScheduleId) -> Option<(ScheduleView, u64)> {
    let view = app.view.read();
    let schedule = view.schedules.get(&id)?;
    Some((show(&view, schedule), schedule.version))
}

/// Returns a schedule.
#[utoipa::path(get, path = "/api/v1/schedules/{id}", tag = "schedules", params(("id" = ScheduleId, Path)),
    responses((status = 200, body = ScheduleView)))]
async fn get(State(app): State<Arc<App>>, caller: Caller, At(id): At<ScheduleId>) -> Result<Response, ApiError> {
    let view = app.view.read();
    let schedule = visible(&view, &caller, id)?;
    Ok((etag(schedule.version), Json(show(&view, &schedule))).into_response())
}

/// Deletes a schedule; instances that run go on.
#[utoipa::path(delete, path = "/api/v1/schedules/{id}", tag = "schedules", params(("id" = ScheduleId, Path)),
    responses((status = 204), (status = 202, body = super::command::Accepted)))]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<ScheduleId>,
    idempotency: Idempotency,
) -> Result<Response, ApiError> {
    let schedule = visible(&app.view.read(), &caller, id)?;
    let ask = Ask {
        actor: &caller,
        ids: idempotency.ids(&caller, &format!("DELETE /schedules/{id}")),
        idempotency: &idempotency,
        what: format!("delete the schedule {}", schedule.spec.name),
        link: link(id),
    };
    let command = ScheduleCommand::Delete { id, by: ask.by() };
    let gone = |view: &View| !view.schedules.contains_key(&id);
    let (carried, _) = ask.carry_out(&app, command, |view, _| gone(view)).await?;
    if matches!(carried, Carried::Done(_)) {
        app.view.until(Duration::from_secs(1), gone).await;
    }
    Ok(answer_deleted(&carried))
}

/// Skips occurrences until the schedule is resumed.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/pause", tag = "schedules", params(("id" = ScheduleId, Path)),
    responses((status = 200, body = ScheduleView), (status = 202, body = super::command::Accepted)))]
async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<ScheduleId>,
    idempotency: Idempotency,
) -> Result<Response, ApiError> {
    switch(&app, &caller, id, &idempotency, false).await
}

/// Goes on with a schedule that was paused.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/resume", tag = "schedules", params(("id" = ScheduleId, Path)),
    responses((status = 200, body = ScheduleView), (status = 202, body = super::command::Accepted)))]
async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<ScheduleId>,
    idempotency: Idempotency,
) -> Result<Response, ApiError> {
    switch(&app, &caller, id, &idempotency, true).await
}

async fn switch(
    app: &App,
    caller: &Caller,
    id: ScheduleId,
    idempotency: &Idempotency,
    on: bool,
) -> Result<Response, ApiError> {
    let schedule = visible(&app.view.read(), caller, id)?;
    let word = if on { "resume" } else { "pause" };
    let ids = idempotency.ids(caller, &format!("POST /schedules/{id}/{word}"));
    let ask = Ask {
        actor: caller,
        ids,
        idempotency,
        what: format!("{word} the schedule {}", schedule.spec.name),
        link: link(id),
    };
    let by = ask.by();
    let command = if on {
        ScheduleCommand::Resume { id, by }
    } else {
        ScheduleCommand::Pause { id, by }
    };
    let (carried, _) = ask
        .carry_out(app, command, |view, version| known(view, id, version))
        .await?;
    Ok(answer(
        &carried,
        ids.operation,
        StatusCode::OK,
        &link(id),
        shown(app, id),
    ))
}

/// When something is to run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreviewArgs {
    /// When.
    when: When,
}

/// When something would run.
#[derive(Debug, Serialize, ToSchema)]
struct Preview {
    /// In words.
    words: String,
    /// The next runs, five at most.
    next: Vec<Timestamp>,
}

/// Says in words when something would run, with the next five runs.
#[utoipa::path(post, path = "/api/v1/schedules/preview", tag = "schedules", request_body = PreviewArgs, responses((status = 200, body = Preview)))]
async fn preview(_caller: Caller, Body(args): Body<PreviewArgs>) -> Result<Json<Preview>, ApiError> {
    let now = Timestamp::now();
    let misfit =
        |detail: String| ApiError::misfit("when", detail, "a moment to come, or a cron expression with a zone");
    occurrences::check(&args.when, now).map_err(misfit)?;
    let next = match args.when {
        When::Now => vec![now],
        _ => occurrences::next(&args.when, now, 5).map_err(misfit)?,
    };
    Ok(Json(Preview {
        words: occurrences::words(&args.when),
        next,
    }))
}

//! `/api/v1/devices`, and the commands that people give them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use common::manifest::Values;
use common::messages::action::{ActionRequest, Origin};
use common::messages::registry::{CommandSpec, Device};
use common::messages::user::Role;
use common::rules::{parameters, problem};
use common::{ActionId, DeviceId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Change;
use super::things::{self, NewThing, ThingChange, Which};
use crate::access::Caller;
use crate::api::actions::{CommandView, commands_page, show_command};
use crate::api::command::{accepted, answer};
use crate::api::names::{NamedRef, PlaceRef, TypeRef};
use crate::api::page::{Page, Paging};
use crate::api::{ApiError, Args, At, Body, Idempotency, IfMatch};
use crate::app::App;
use crate::live::LiveValues;
use crate::rights::{self, Actor};
use crate::view::View;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(commands, command))
}

/// A device as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct DeviceView {
    /// Identity.
    id: DeviceId,
    /// Name.
    name: String,
    /// Its type.
    #[serde(rename = "type")]
    kind: TypeRef,
    /// What it can do.
    commands: BTreeMap<String, CommandSpec>,
    /// Where it is.
    location: PlaceRef,
    /// What carries it.
    connector: NamedRef,
    /// What it last said of its state.
    #[schema(value_type = Object)]
    reported: BTreeMap<String, serde_json::Value>,
    /// When it said that.
    reported_at: Option<Timestamp>,
    /// Newest command.
    last_command: Option<CommandView>,
    /// Whether the caller may change it.
    may_manage: bool,
    /// Whether the caller may have it do something.
    may_command: bool,
    /// When it was registered.
    created: Timestamp,
    /// Grows with each change.
    version: u64,
}

/// Renders a device.
pub(crate) fn show(view: &View, live: &LiveValues, actor: &Actor, device: &Device) -> DeviceView {
    let news = live.device(device.id);
    let (reported_at, reported) = news
        .reported
        .map_or((None, BTreeMap::new()), |(at, state)| (Some(at), state));
    DeviceView {
        id: device.id,
        name: device.name.clone(),
        kind: view.type_ref(&device.type_name),
        commands: view
            .types
            .get(&device.type_name)
            .map(|facts| facts.commands.clone())
            .unwrap_or_default(),
        location: view.place(device.location),
        connector: view.connector_ref(device.connector),
        reported,
        reported_at,
        last_command: news.command.map(|command| show_command(view, &command)),
        may_manage: view.manages(actor, device.location),
        may_command: rights::commands(actor, view.right(actor, device.location)),
        created: device.created,
        version: device.version,
    }
}

/// Lists the devices of places where the caller has a right.
#[utoipa::path(get, path = "/api/v1/devices", tag = "registry", params(Which), responses((status = 200, body = Page<DeviceView>)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(which): Args<Which>,
) -> Result<Json<Page<DeviceView>>, ApiError> {
    Ok(Json(things::list::<Device>(&app, &caller, &which)))
}

/// Registers a device.
#[utoipa::path(post, path = "/api/v1/devices", tag = "registry", request_body = NewThing,
    responses((status = 201, body = DeviceView), (status = 202, body = crate::api::command::Accepted)))]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    Body(new): Body<NewThing>,
) -> Result<Response, ApiError> {
    things::create::<Device>(&app, &caller, &idempotency, new).await
}

/// Returns a device.
#[utoipa::path(get, path = "/api/v1/devices/{id}", tag = "registry", params(("id" = DeviceId, Path)),
    responses((status = 200, body = DeviceView)))]
async fn get(State(app): State<Arc<App>>, caller: Caller, At(id): At<DeviceId>) -> Result<Response, ApiError> {
    things::get::<Device>(&app, &caller, id)
}

/// Changes a device.
#[utoipa::path(patch, path = "/api/v1/devices/{id}", tag = "registry", params(("id" = DeviceId, Path)), request_body = ThingChange,
    responses((status = 200, body = DeviceView), (status = 202, body = crate::api::command::Accepted)))]
async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<DeviceId>,
    if_match: IfMatch,
    idempotency: Idempotency,
    Body(wanted): Body<ThingChange>,
) -> Result<Response, ApiError> {
    things::change::<Device>(&app, &caller, id, if_match, &idempotency, wanted).await
}

/// Deletes a device.
#[utoipa::path(delete, path = "/api/v1/devices/{id}", tag = "registry", params(("id" = DeviceId, Path)),
    responses((status = 204), (status = 202, body = crate::api::command::Accepted)))]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<DeviceId>,
    idempotency: Idempotency,
) -> Result<Response, ApiError> {
    things::delete::<Device>(&app, &caller, id, &idempotency).await
}

/// Something that a device is to do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCommand {
    /// Command of its type.
    command: String,
    /// Arguments.
    #[serde(default)]
    #[schema(value_type = Object)]
    arguments: Values,
    /// Seconds after which it is no longer worth doing, 1 to 3600 (60 when not given).
    expires_seconds: Option<u32>,
}

/// Has a device do something.
#[utoipa::path(post, path = "/api/v1/devices/{id}/commands", tag = "registry", params(("id" = DeviceId, Path)), request_body = NewCommand,
    responses((status = 201, body = CommandView), (status = 202, body = crate::api::command::Accepted)))]
async fn command(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<DeviceId>,
    idempotency: Idempotency,
    Body(new): Body<NewCommand>,
) -> Result<Response, ApiError> {
    caller.must_be_one_of(&[Role::EndUser, Role::SensorOwner])?;
    let change = Change::new(&app, &caller, &idempotency, &format!("POST /devices/{id}/commands"));
    let seconds = new.expires_seconds.unwrap_or(60);
    if !(1..=3600).contains(&seconds) {
        return Err(ApiError::misfit("expires_seconds", seconds, "1 to 3600"));
    }
    let (name, arguments) = {
        let view = app.view.read();
        let device = things::visible::<Device>(&view, &caller, id)?;
        if !rights::commands(&caller, view.right(&caller, device.location)) {
            return Err(ApiError::forbidden("this needs the right to use or manage the place"));
        }
        let specs = view.types.get(&device.type_name).map(|facts| &facts.commands);
        let spec = specs.and_then(|specs| specs.get(&new.command)).ok_or_else(|| {
            let known = specs.into_iter().flatten().map(|(name, _)| name.as_str());
            ApiError::misfit(
                "command",
                problem::shown(&new.command),
                problem::one_of(&new.command, known),
            )
        })?;
        let arguments = parameters::check(&spec.arguments, &new.arguments).map_err(|problems| {
            ApiError::invalid(problems.into_iter().map(|problem| problem.under("arguments")).collect())
        })?;
        (device.name.clone(), arguments)
    };
    let action = ActionId::from_uuid(change.ids.entity);
    let now = Timestamp::now();
    let request = ActionRequest::Command {
        id: action,
        origin: Origin::User {
            user: caller.id,
            operation: change.ids.operation,
        },
        device: id,
        command: new.command.clone(),
        arguments,
        at: now,
        expires: now.plus_millis(i64::from(seconds) * 1000),
    };
    let ask = change.ask(
        format!("have {name} do {}", new.command),
        &format!("{}/commands", things::link::<Device>(id)),
    );
    let (carried, _) = ask.carry_out(&app, request, |_, _| true).await?;
    let news = app.live.device(id).command.filter(|command| command.id == action);
    Ok(match (carried, news) {
        (carried @ crate::api::command::Carried::Done(_), Some(command)) => {
            let body = show_command(&app.view.read(), &command);
            let link = format!("{}/commands", things::link::<Device>(id));
            answer(
                &carried,
                change.ids.operation,
                StatusCode::CREATED,
                &link,
                Some((body, command.version)),
            )
        }
        _ => accepted(change.ids.operation),
    })
}

/// Lists the commands of a device, newest first.
#[utoipa::path(get, path = "/api/v1/devices/{id}/commands", tag = "registry", params(("id" = DeviceId, Path), Paging),
    responses((status = 200, body = Page<CommandView>)))]
async fn commands(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<DeviceId>,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<CommandView>>, ApiError> {
    things::visible::<Device>(&app.view.read(), &caller, id)?;
    Ok(Json(commands_page(&app, "device", id.to_string(), &paging).await?))
}

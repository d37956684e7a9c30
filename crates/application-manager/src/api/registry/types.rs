//! `/api/v1/types`: what sensors measure and devices can do.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use common::manifest::ThingKind;
use common::messages::registry::{CommandSpec, Entry, EntryId, Property, Type};
use common::messages::user::Role;
use common::names::Slug;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Change;
use crate::access::Caller;
use crate::api::command::etag;
use crate::api::page::{Page, Paging, by_name, page};
use crate::api::{ApiError, Args, At, Body, Idempotency, text};
use crate::app::App;
use crate::view::View;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
}

/// A type as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct TypeView {
    /// The type.
    #[serde(flatten)]
    facts: Type,
    /// Sensors or devices of this type.
    used_by: usize,
}

/// Renders a type.
pub(crate) fn show(view: &View, facts: &Type) -> TypeView {
    let used_by = match facts.kind {
        ThingKind::Sensor => view
            .sensors
            .values()
            .filter(|entry| entry.type_name == facts.name)
            .count(),
        ThingKind::Device => view
            .devices
            .values()
            .filter(|entry| entry.type_name == facts.name)
            .count(),
    };
    TypeView {
        facts: facts.clone(),
        used_by,
    }
}

/// A new type.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewType {
    /// Name in manifests.
    name: Slug,
    /// What people see.
    title: String,
    /// Of sensors or devices.
    kind: ThingKind,
    /// What a sensor of this type measures, by property name.
    #[serde(default)]
    properties: BTreeMap<String, Property>,
    /// Seconds within which a sensor of this type is expected to send.
    expected_interval_seconds: Option<u32>,
    /// What a device of this type can do, by command name.
    #[serde(default)]
    commands: BTreeMap<String, CommandSpec>,
}

fn link(name: &Slug) -> String {
    format!("/api/v1/types/{name}")
}

/// Lists types.
#[utoipa::path(get, path = "/api/v1/types", tag = "registry", params(Paging), responses((status = 200, body = Page<TypeView>)))]
async fn list(
    State(app): State<Arc<App>>,
    _caller: Caller,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<TypeView>>, ApiError> {
    let view = app.view.read();
    let entries = view
        .types
        .values()
        .map(|entry| (by_name(&entry.title, &entry.name), entry))
        .collect();
    Ok(Json(page(entries, &paging, |entry| show(&view, entry))))
}

/// Makes a type.
#[utoipa::path(post, path = "/api/v1/types", tag = "registry", request_body = NewType,
    responses((status = 201, body = TypeView), (status = 202, body = crate::api::command::Accepted)))]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    Body(new): Body<NewType>,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    if new.kind == ThingKind::Sensor && new.properties.is_empty() {
        return Err(ApiError::misfit(
            "properties",
            "none",
            "at least one property, such as temperature, for a type of sensors",
        ));
    }
    if new.kind == ThingKind::Device && new.commands.is_empty() {
        return Err(ApiError::misfit(
            "commands",
            "none",
            "at least one command, such as switch, for a type of devices",
        ));
    }
    let change = Change::new(&app, &caller, &idempotency, "POST /types");
    let entry = Type {
        title: text::line("title", &new.title, 100)?,
        name: new.name.clone(),
        kind: new.kind,
        properties: new.properties,
        expected_interval_seconds: new.expected_interval_seconds,
        commands: new.commands,
        version: 0,
    };
    let what = format!("create the type {}", entry.title);
    change
        .put_and_show(Entry::Type(entry), None, what, &link(&new.name), || {
            shown(&app, &new.name)
        })
        .await
}

fn shown(app: &App, name: &Slug) -> Option<(TypeView, u64)> {
    let view = app.view.read();
    let entry = view.types.get(name)?;
    Some((show(&view, entry), entry.version))
}

/// Returns a type.
#[utoipa::path(get, path = "/api/v1/types/{name}", tag = "registry", params(("name" = Slug, Path)), responses((status = 200, body = TypeView)))]
async fn get(State(app): State<Arc<App>>, _caller: Caller, At(name): At<Slug>) -> Result<Response, ApiError> {
    let (body, version) = shown(&app, &name).ok_or_else(|| ApiError::not_found("type"))?;
    Ok((etag(version), Json(body)).into_response())
}

/// Deletes a type that nothing has any more.
#[utoipa::path(delete, path = "/api/v1/types/{name}", tag = "registry", params(("name" = Slug, Path)),
    responses((status = 204), (status = 202, body = crate::api::command::Accepted)))]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(name): At<Slug>,
    idempotency: Idempotency,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    if !app.view.read().types.contains_key(&name) {
        return Err(ApiError::not_found("type"));
    }
    let change = Change::new(&app, &caller, &idempotency, &format!("DELETE /types/{name}"));
    let what = format!("delete the type {name}");
    change
        .delete_and_answer(EntryId::Type(name.clone()), what, &link(&name))
        .await
}

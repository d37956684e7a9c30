//! `/api/v1/locations`: the tree of places and who has which right there.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use common::LocationId;
use common::messages::registry::{Entry, EntryId, Grant, Location, Right};
use common::messages::user::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Change, must_manage};
use crate::access::Caller;
use crate::api::command::etag;
use crate::api::page::{Page, Paging, page};
use crate::api::{ApiError, Args, At, Body, Idempotency, IfMatch, text};
use crate::app::App;
use crate::rights::Actor;
use crate::view::View;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
}

/// A place as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct LocationView {
    /// Identity.
    id: LocationId,
    /// Name among its siblings.
    name: String,
    /// Campus, building, floor, room, … as people call it.
    kind: String,
    /// The node above.
    parent: Option<LocationId>,
    /// Path, such as `Building A / Lab`.
    path: String,
    /// Rights on this node and everything below; only shown to those who manage it.
    grants: Vec<GrantView>,
    /// What the caller may do here, whatever the grants say further up.
    right: Option<Right>,
    /// Whether the caller may register and change things here.
    may_manage: bool,
    /// Sensors here and below.
    sensors: usize,
    /// Devices here and below.
    devices: usize,
    /// Grows with each change.
    version: u64,
}

/// A right on a subtree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantView {
    /// What is allowed.
    right: Right,
    /// Sign-in name of to whom; absent: everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

/// Renders a place.
pub(crate) fn show(view: &View, actor: &Actor, location: &Location) -> LocationView {
    let may_manage = view.manages(actor, location.id);
    let grants = location.grants.iter().filter(|_| may_manage).filter_map(|grant| {
        Some(GrantView {
            right: grant.right,
            // A grant to someone who was deleted counts for nobody.
            user: match grant.user {
                Some(user) => Some(view.users.get(&user)?.name.clone()),
                None => None,
            },
        })
    });
    LocationView {
        id: location.id,
        name: location.name.clone(),
        kind: location.kind.clone(),
        parent: location.parent.filter(|parent| view.right(actor, *parent).is_some()),
        path: view.path(location.id),
        grants: grants.collect(),
        right: view.right(actor, location.id),
        may_manage,
        sensors: view
            .sensors
            .values()
            .filter(|entry| view.is_within(entry.location, location.id))
            .count(),
        devices: view
            .devices
            .values()
            .filter(|entry| view.is_within(entry.location, location.id))
            .count(),
        version: location.version,
    }
}

/// A new place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLocation {
    /// Name among its siblings.
    name: String,
    /// Campus, building, floor, room, …
    kind: String,
    /// The node above; absent: a new root.
    parent: Option<LocationId>,
    /// Rights on this node and everything below.
    #[serde(default)]
    grants: Vec<GrantView>,
}

/// What is to be changed; what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LocationChange {
    /// Name among its siblings.
    name: Option<String>,
    /// Campus, building, floor, room, …
    kind: Option<String>,
    /// The node above.
    parent: Option<LocationId>,
    /// Rights on this node and everything below.
    grants: Option<Vec<GrantView>>,
}

fn grants_of(view: &View, grants: &[GrantView]) -> Result<Vec<Grant>, ApiError> {
    let user_id = |(index, grant): (usize, &GrantView)| {
        let user = match &grant.user {
            None => None,
            Some(name) => Some(
                view.user_named(name)
                    .ok_or_else(|| {
                        ApiError::misfit(
                            &format!("grants[{index}].user"),
                            format!("`{name}`"),
                            "the sign-in name of a user",
                        )
                    })?
                    .id,
            ),
        };
        Ok(Grant {
            right: grant.right,
            user,
        })
    };
    if grants.len() > 200 {
        return Err(ApiError::misfit("grants", grants.len(), "at most 200"));
    }
    grants.iter().enumerate().map(user_id).collect()
}

fn must_be_free(view: &View, id: LocationId, parent: Option<LocationId>, name: &str) -> Result<(), ApiError> {
    let taken = view
        .locations
        .values()
        .any(|other| other.id != id && other.parent == parent && other.name.eq_ignore_ascii_case(name));
    if taken {
        return Err(ApiError::conflict(format!("there is a `{name}` already in that place")));
    }
    Ok(())
}

fn link(id: LocationId) -> String {
    format!("/api/v1/locations/{id}")
}

/// Lists the places where the caller has a right.
#[utoipa::path(get, path = "/api/v1/locations", tag = "registry", params(Paging), responses((status = 200, body = Page<LocationView>)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<LocationView>>, ApiError> {
    let view = app.view.read();
    let entries = view
        .locations
        .values()
        .filter(|location| view.right(&caller, location.id).is_some())
        .map(|location| {
            (
                // A space sorts before every name, so a place comes before what is in it.
                format!(
                    "{}/ {}",
                    view.path(location.id).to_lowercase().replace(" / ", "/"),
                    location.id
                ),
                location,
            )
        })
        .collect();
    Ok(Json(page(entries, &paging, |location| show(&view, &caller, location))))
}

/// Makes a place.
#[utoipa::path(post, path = "/api/v1/locations", tag = "registry", request_body = NewLocation,
    responses((status = 201, body = LocationView), (status = 202, body = crate::api::command::Accepted)))]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    Body(new): Body<NewLocation>,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let change = Change::new(&app, &caller, &idempotency, "POST /locations");
    let id = LocationId::from_uuid(change.ids.entity);
    let location = {
        let view = app.view.read();
        if let Some(parent) = new.parent {
            must_manage(&view, &caller, parent)?;
        }
        let name = text::line("name", &new.name, 100)?;
        must_be_free(&view, id, new.parent, &name)?;
        let mut grants = grants_of(&view, &new.grants)?;
        if new.parent.is_none() && !caller.is_admin() {
            // Who makes a root manages it; nobody above could grant that.
            grants.push(Grant {
                right: Right::Manage,
                user: Some(caller.id),
            });
        }
        Location {
            id,
            name,
            kind: text::line("kind", &new.kind, 40)?,
            parent: new.parent,
            grants,
            version: 0,
        }
    };
    let what = format!("create the location {}", location.name);
    change
        .put_and_show(Entry::Location(location), None, what, &link(id), || {
            shown(&app, &caller, id)
        })
        .await
}

fn shown(app: &App, actor: &Actor, id: LocationId) -> Option<(LocationView, u64)> {
    let view = app.view.read();
    let location = view.locations.get(&id)?;
    Some((show(&view, actor, location), location.version))
}

/// Returns a place.
#[utoipa::path(get, path = "/api/v1/locations/{id}", tag = "registry", params(("id" = LocationId, Path)),
    responses((status = 200, body = LocationView)))]
async fn get(State(app): State<Arc<App>>, caller: Caller, At(id): At<LocationId>) -> Result<Response, ApiError> {
    let (body, version) = shown(&app, &caller, id)
        .filter(|(body, _)| body.right.is_some())
        .ok_or_else(|| ApiError::not_found("location"))?;
    Ok((etag(version), Json(body)).into_response())
}

/// Changes a place.
#[utoipa::path(patch, path = "/api/v1/locations/{id}", tag = "registry", params(("id" = LocationId, Path)), request_body = LocationChange,
    responses((status = 200, body = LocationView), (status = 202, body = crate::api::command::Accepted)))]
async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<LocationId>,
    if_match: IfMatch,
    idempotency: Idempotency,
    Body(wanted): Body<LocationChange>,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let change = Change::new(&app, &caller, &idempotency, &format!("PATCH /locations/{id}"));
    let (location, expected) = {
        let view = app.view.read();
        must_manage(&view, &caller, id)?;
        let mut location = view
            .locations
            .get(&id)
            .cloned()
            .ok_or_else(|| ApiError::not_found("location"))?;
        let expected = if_match.expect(location.version)?;
        if let Some(name) = wanted.name {
            location.name = text::line("name", &name, 100)?;
        }
        if let Some(kind) = wanted.kind {
            location.kind = text::line("kind", &kind, 40)?;
        }
        if let Some(parent) = wanted.parent {
            must_manage(&view, &caller, parent)?;
            if view.is_within(parent, id) {
                return Err(ApiError::misfit(
                    "parent",
                    "a place within this one",
                    "a place that is not within this one",
                ));
            }
            location.parent = Some(parent);
        }
        must_be_free(&view, id, location.parent, &location.name)?;
        if let Some(grants) = wanted.grants {
            location.grants = grants_of(&view, &grants)?;
        }
        (location, expected)
    };
    let what = format!("change the location {}", location.name);
    change
        .put_and_show(Entry::Location(location), Some(expected), what, &link(id), || {
            shown(&app, &caller, id)
        })
        .await
}

/// Deletes a place in which nothing is any more.
#[utoipa::path(delete, path = "/api/v1/locations/{id}", tag = "registry", params(("id" = LocationId, Path)),
    responses((status = 204), (status = 202, body = crate::api::command::Accepted)))]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<LocationId>,
    idempotency: Idempotency,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let change = Change::new(&app, &caller, &idempotency, &format!("DELETE /locations/{id}"));
    let what = {
        let view = app.view.read();
        must_manage(&view, &caller, id)?;
        format!("delete the location {}", view.path(id))
    };
    change.delete_and_answer(EntryId::Location(id), what, &link(id)).await
}

//! `/api/v1/audit` and `/api/v1/quarantine`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use common::Timestamp;
use common::messages::log::AuditEntry;
use common::messages::reading::Quarantine;
use common::messages::user::Role;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::actions::shelf_page;
use super::names::NamedRef;
use super::page::{Page, Paging};
use super::{ApiError, Args};
use crate::access::Caller;
use crate::app::App;
use crate::archive::Shelf;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(audit)).routes(routes!(quarantine))
}

/// Who did what.
#[derive(Debug, Serialize, ToSchema)]
struct AuditView {
    /// Sign-in name of who.
    actor: String,
    /// Method and route.
    action: String,
    /// What it was done to.
    subject: String,
    /// Status of the answer.
    status: u16,
    /// From where.
    address: String,
    /// When.
    at: Timestamp,
}

/// Lists who did what, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "admin", params(Paging), responses((status = 200, body = Page<AuditView>)))]
async fn audit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<AuditView>>, ApiError> {
    caller.must_be(Role::Admin)?;
    let found = shelf_page::<AuditEntry>(&app, Shelf::Audit, &[], &paging).await?;
    let show = |entry| {
        let AuditEntry::Changed {
            actor_name,
            action,
            subject,
            status,
            address,
            at,
            ..
        } = entry;
        AuditView {
            actor: actor_name,
            action,
            subject,
            status,
            address,
            at,
        }
    };
    Ok(Json(Page {
        items: found.items.into_iter().map(show).collect(),
        next: found.next,
    }))
}

/// A reading that did not pass.
#[derive(Debug, Serialize, ToSchema)]
struct QuarantineView {
    /// The sensor, when it is known.
    sensor: Option<NamedRef>,
    /// The sensor as it was named.
    named: String,
    /// Who sent it.
    connector: NamedRef,
    /// What is wrong, in words.
    reason: String,
    /// What was sent.
    sample: String,
    /// When it was received.
    received: Timestamp,
}

/// Pages that are looked through for entries of connectors that the person manages.
const MOST_PAGES: usize = 20;

/// Lists readings that did not pass, newest first: those of the connectors that the caller manages.
#[utoipa::path(get, path = "/api/v1/quarantine", tag = "registry", params(Paging), responses((status = 200, body = Page<QuarantineView>)))]
async fn quarantine(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<QuarantineView>>, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let (limit, mut paging) = (paging.limit(), paging);
    let (mut items, mut next) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let found = shelf_page::<Quarantine>(&app, Shelf::Quarantine, &[], &paging).await?;
        next.clone_from(&found.next);
        paging.after = found.next;
        let view = app.view.read();
        items.extend(found.items.into_iter().filter_map(|entry| show(&view, &caller, entry)));
        if next.is_none() || items.len() >= limit {
            break;
        }
    }
    Ok(Json(Page { items, next }))
}

fn show(view: &crate::view::View, caller: &Caller, entry: Quarantine) -> Option<QuarantineView> {
    let Quarantine::Refused {
        sensor,
        connector,
        reason,
        sample,
        received,
    } = entry;
    let managed = view
        .connectors
        .get(&connector)
        .is_some_and(|known| view.manages(caller, known.location));
    if !managed && !caller.is_admin() {
        return None;
    }
    let known = sensor.parse().ok().filter(|id| view.sensors.contains_key(id));
    Some(QuarantineView {
        sensor: known.map(|id| view.sensor_ref(id)),
        named: sensor,
        connector: view.connector_ref(connector),
        reason,
        sample,
        received,
    })
}

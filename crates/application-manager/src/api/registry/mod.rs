//! Types, locations, connectors, sensors, devices: what the sensor manager owns; here are only its routes.

pub(crate) mod connectors;
pub(crate) mod devices;
pub(crate) mod locations;
pub(crate) mod sensors;
mod things;
pub(crate) mod types;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use common::messages::registry::{Entry, EntryId, RegistryCommand};
use common::{ConnectorId, LocationId};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;

use super::command::{Ask, Carried, answer, answer_deleted};
use super::{ApiError, Idempotency, RequestIds};
use crate::access::Caller;
use crate::app::App;
use crate::view::View;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(locations::routes())
        .merge(types::routes())
        .merge(connectors::routes())
        .merge(sensors::routes())
        .merge(devices::routes())
}

/// Who changes the registry, by which request.
pub(crate) struct Change<'a> {
    app: &'a App,
    caller: &'a Caller,
    idempotency: &'a Idempotency,
    ids: RequestIds,
}

impl<'a> Change<'a> {
    fn new(app: &'a App, caller: &'a Caller, idempotency: &'a Idempotency, route: &str) -> Self {
        Self {
            app,
            caller,
            idempotency,
            ids: idempotency.ids(caller, route),
        }
    }

    fn ask(&self, what: String, link: &str) -> Ask<'_> {
        Ask {
            actor: self.caller,
            ids: self.ids,
            idempotency: self.idempotency,
            what,
            link: link.to_owned(),
        }
    }

    /// Creates or replaces an entry. Says also whether this is the first try.
    async fn put(
        &self,
        entry: Entry,
        expected: Option<u64>,
        what: String,
        link: &str,
    ) -> Result<(Carried, bool), ApiError> {
        let ask = self.ask(what, link);
        let id = entry.id();
        let command = RegistryCommand::Put {
            entry,
            expected,
            by: ask.by(),
        };
        let shown = |view: &View, version| view.entry_version(&id).is_some_and(|known| known >= version);
        ask.carry_out(self.app, command, shown).await
    }

    /// Creates or replaces an entry and answers with it as it is then.
    async fn put_and_show<T: Serialize>(
        &self,
        entry: Entry,
        expected: Option<u64>,
        what: String,
        link: &str,
        shown: impl FnOnce() -> Option<(T, u64)>,
    ) -> Result<Response, ApiError> {
        let status = if expected.is_some() {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        let (carried, _) = self.put(entry, expected, what, link).await?;
        Ok(answer(&carried, self.ids.operation, status, link, shown()))
    }

    /// Deletes an entry and says so.
    async fn delete_and_answer(&self, id: EntryId, what: String, link: &str) -> Result<Response, ApiError> {
        Ok(answer_deleted(&self.delete(id, what, link).await?))
    }

    /// Deletes an entry.
    async fn delete(&self, id: EntryId, what: String, link: &str) -> Result<Carried, ApiError> {
        let ask = self.ask(what, link);
        let command = RegistryCommand::Delete {
            id: id.clone(),
            by: ask.by(),
        };
        let (carried, _) = ask
            .carry_out(self.app, command, |view, _| view.entry(&id).is_none())
            .await?;
        if matches!(carried, Carried::Done(_)) {
            let gone = |view: &View| view.entry(&id).is_none();
            self.app.view.until(Duration::from_secs(1), gone).await;
        }
        Ok(carried)
    }
}

/// Refuses whoever may not register things at a place: 404 when the person does not even see it.
fn must_manage(view: &View, caller: &Caller, location: LocationId) -> Result<(), ApiError> {
    if view.manages(caller, location) {
        Ok(())
    } else if view.locations.contains_key(&location) && view.right(caller, location).is_some() {
        Err(ApiError::forbidden(format!(
            "this needs the right to manage {}",
            view.path(location)
        )))
    } else {
        Err(ApiError::not_found("location"))
    }
}

/// Refuses a connector that the person may not use for new sensors and devices.
fn must_manage_connector(view: &View, caller: &Caller, id: ConnectorId) -> Result<(), ApiError> {
    match view.connectors.get(&id) {
        Some(connector) if view.manages(caller, connector.location) => Ok(()),
        _ => Err(ApiError::misfit(
            "connector",
            "none that you manage",
            "the id of a connector that you manage",
        )),
    }
}

//! `/api/v1/connectors`: what signs in, with a secret that is shown once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use common::messages::registry::{Connector, Entry, EntryId};
use common::messages::user::Role;
use common::{ConnectorId, LocationId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Change, must_manage};
use crate::access::{Caller, new_secret, sha256_hex};
use crate::api::command::{Carried, answer, etag};
use crate::api::names::{NamedRef, PlaceRef};
use crate::api::page::{Page, Paging, by_name, page};
use crate::api::{ApiError, Args, At, Body, Idempotency, text};
use crate::app::App;
use crate::view::View;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
        .routes(routes!(rotate))
}

/// A connector as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ConnectorView {
    /// Identity; also its user name.
    id: ConnectorId,
    /// Name.
    name: String,
    /// Where it is.
    location: PlaceRef,
    /// Sensors that it carries.
    sensors: Vec<NamedRef>,
    /// Devices that it carries.
    devices: Vec<NamedRef>,
    /// How it signs in, without its secret.
    access: Credentials,
    /// When it was registered.
    created: Timestamp,
    /// Grows with each change.
    version: u64,
}

/// Renders a connector.
pub(crate) fn show(app: &App, view: &View, connector: &Connector) -> ConnectorView {
    ConnectorView {
        id: connector.id,
        name: connector.name.clone(),
        location: view.place(connector.location),
        sensors: view
            .sensors
            .values()
            .filter(|entry| entry.connector == connector.id)
            .map(|entry| view.sensor_ref(entry.id))
            .collect(),
        devices: view
            .devices
            .values()
            .filter(|entry| entry.connector == connector.id)
            .map(|entry| view.device_ref(entry.id))
            .collect(),
        access: credentials(app, connector.id, None),
        created: connector.created,
        version: connector.version,
    }
}

/// How a connector signs in.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Credentials {
    /// User name.
    username: String,
    /// Password. It is shown once, to the request that made it; make a new one when it got lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// Where MQTT is served.
    mqtt: Address,
    /// Where HTTP ingestion is served.
    http: Address,
    /// Topic of a sensor's readings; put the sensor's id in.
    readings_topic: &'static str,
    /// Topic of a device's commands; put the device's id in.
    commands_topic: &'static str,
    /// Topic on which a device reports; put both ids in.
    state_topic: &'static str,
    /// Address of a sensor's readings over HTTP; put the sensor's id in.
    readings_url: String,
}

/// Host and port.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct Address {
    /// Host.
    host: String,
    /// Port.
    port: u16,
}

fn credentials(app: &App, id: ConnectorId, secret: Option<String>) -> Credentials {
    let host = app.device_address(id);
    Credentials {
        username: id.to_string(),
        secret,
        readings_url: format!("http://{host}:{}/v1/sensors/<sensor id>/readings", app.ports.ingestion),
        mqtt: Address {
            host: host.clone(),
            port: app.ports.mqtt,
        },
        http: Address {
            host,
            port: app.ports.ingestion,
        },
        readings_topic: "v1/sensors/<sensor id>/readings",
        commands_topic: "v1/devices/<device id>/commands",
        state_topic: "v1/devices/<device id>/commands/<command id>/state",
    }
}

/// A connector with its credentials.
#[derive(Debug, Serialize, ToSchema)]
struct CreatedConnector {
    /// The connector.
    #[serde(flatten)]
    connector: ConnectorView,
    /// How it signs in.
    credentials: Credentials,
}

/// A new connector.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewConnector {
    /// Name.
    name: String,
    /// Where it is.
    location: LocationId,
}

fn link(id: ConnectorId) -> String {
    format!("/api/v1/connectors/{id}")
}

/// Lists the connectors that the caller manages.
#[utoipa::path(get, path = "/api/v1/connectors", tag = "registry", params(Paging), responses((status = 200, body = Page<ConnectorView>)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<ConnectorView>>, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let view = app.view.read();
    let entries = view
        .connectors
        .values()
        .filter(|entry| view.manages(&caller, entry.location))
        .map(|entry| (by_name(&entry.name, entry.id), entry))
        .collect();
    Ok(Json(page(entries, &paging, |entry| show(&app, &view, entry))))
}

/// Registers a connector; answers its secret, once.
#[utoipa::path(post, path = "/api/v1/connectors", tag = "registry", request_body = NewConnector,
    responses((status = 201, body = CreatedConnector), (status = 202, body = CreatedConnector)))]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    Body(new): Body<NewConnector>,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    must_manage(&app.view.read(), &caller, new.location)?;
    let change = Change::new(&app, &caller, &idempotency, "POST /connectors");
    let connector = Connector {
        id: ConnectorId::from_uuid(change.ids.entity),
        name: text::line("name", &new.name, 100)?,
        location: new.location,
        secret_sha256: String::new(),
        created: Timestamp::now(),
        version: 0,
    };
    let what = format!("register the connector {}", connector.name);
    put_with_secret(&app, &change, connector, None, what, StatusCode::CREATED).await
}

/// Makes a secret, publishes its hash, answers the secret.
async fn put_with_secret(
    app: &App,
    change: &Change<'_>,
    mut connector: Connector,
    expected: Option<u64>,
    what: String,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let id = connector.id;
    let secret = new_secret();
    connector.secret_sha256 = sha256_hex(&secret);
    let unseen = connector.clone();
    let (carried, fresh) = change
        .put(Entry::Connector(connector), expected, what, &link(id))
        .await?;
    // A repeat made the first secret count, which only the first answer had.
    let credentials = credentials(app, id, fresh.then_some(secret));
    let view = app.view.read();
    let connector = view.connectors.get(&id).unwrap_or(&unseen);
    let entity = CreatedConnector {
        connector: show(app, &view, connector),
        credentials,
    };
    let version = connector.version;
    Ok(match carried {
        Carried::Done(_) => answer(
            &carried,
            change.ids.operation,
            status,
            &link(id),
            Some((entity, version)),
        ),
        // The secret can not be shown later, so it comes with the promise.
        Carried::Pending(operation) => {
            let follow = format!("/api/v1/operations/{operation}");
            (StatusCode::ACCEPTED, [(header::LOCATION, follow)], Json(entity)).into_response()
        }
    })
}

fn managed(app: &App, caller: &Caller, id: ConnectorId) -> Result<Connector, ApiError> {
    let view = app.view.read();
    view.connectors
        .get(&id)
        .filter(|entry| view.manages(caller, entry.location))
        .cloned()
        .ok_or_else(|| ApiError::not_found("connector"))
}

/// Returns a connector.
#[utoipa::path(get, path = "/api/v1/connectors/{id}", tag = "registry", params(("id" = ConnectorId, Path)),
    responses((status = 200, body = ConnectorView)))]
async fn get(State(app): State<Arc<App>>, caller: Caller, At(id): At<ConnectorId>) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let connector = managed(&app, &caller, id)?;
    Ok((etag(connector.version), Json(show(&app, &app.view.read(), &connector))).into_response())
}

/// Gives a connector a new secret, which is answered once; the old one ends.
#[utoipa::path(post, path = "/api/v1/connectors/{id}/secret", tag = "registry", params(("id" = ConnectorId, Path)),
    responses((status = 200, body = CreatedConnector), (status = 202, body = CreatedConnector)))]
async fn rotate(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<ConnectorId>,
    idempotency: Idempotency,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let connector = managed(&app, &caller, id)?;
    let change = Change::new(&app, &caller, &idempotency, &format!("POST /connectors/{id}/secret"));
    let (expected, what) = (
        connector.version,
        format!("make a new secret for the connector {}", connector.name),
    );
    put_with_secret(&app, &change, connector, Some(expected), what, StatusCode::OK).await
}

/// Deletes a connector that carries nothing any more.
#[utoipa::path(delete, path = "/api/v1/connectors/{id}", tag = "registry", params(("id" = ConnectorId, Path)),
    responses((status = 204), (status = 202, body = crate::api::command::Accepted)))]
async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<ConnectorId>,
    idempotency: Idempotency,
) -> Result<Response, ApiError> {
    caller.must_be(Role::SensorOwner)?;
    let connector = managed(&app, &caller, id)?;
    let change = Change::new(&app, &caller, &idempotency, &format!("DELETE /connectors/{id}"));
    let what = format!("delete the connector {}", connector.name);
    change.delete_and_answer(EntryId::Connector(id), what, &link(id)).await
}

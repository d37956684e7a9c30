//! HTTP for applications, on loopback; the node agent forwards to it. Answers 202 only when Kafka has the request.

mod recent;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use common::messages::action::{ActionRequest, Origin};
use common::token::TokenKey;
use common::{ActionId, Envelope, InstanceId, MessageId, Timestamp};
use runtime::http::{self, Problem};
use runtime::{Bus, Entities, Record};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::recent::Recent;
use crate::request::{self, CommandBody, NotificationBody, Refused};
use crate::store::Asked;
use crate::view::View;

/// Largest body.
const BODY: usize = 256 * 1024;
/// Longest idempotency key, in bytes.
const LONGEST_KEY: usize = 200;
/// Time that Kafka gets to confirm; the application tries again with the same key.
const CONFIRM: Duration = Duration::from_secs(8);

/// What the routes need.
#[derive(Debug, Clone)]
pub struct Gateway {
    view: Arc<View>,
    key: TokenKey,
    bus: Bus,
    commands: Entities<Asked>,
    recent: Arc<Recent>,
}

impl Gateway {
    /// Answers by a view of the world.
    #[must_use]
    pub fn new(view: Arc<View>, key: TokenKey, bus: Bus, commands: Entities<Asked>) -> Self {
        Self {
            view,
            key,
            bus,
            commands,
            recent: Arc::default(),
        }
    }

    /// Returns the routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v1/notifications", post(notify))
            .route("/v1/commands", post(command))
            .route("/v1/commands/{id}", get(command_state))
            .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is no such address") })
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(self)
    }

    /// Returns the instance that a token proves.
    fn instance(&self, headers: &HeaderMap) -> Result<InstanceId, Problem> {
        let token = text(headers, header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        token.and_then(|token| self.key.check(token)).ok_or_else(|| {
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "the header `Authorization: Bearer <token>` must hold the instance's token",
            )
        })
    }

    /// Returns the instance and the idempotency key of a caller that may act.
    fn caller(&self, headers: &HeaderMap) -> Result<(InstanceId, String), Problem> {
        let instance = self.instance(headers)?;
        if !self.view.complete() {
            return Err(Problem::not_yet("the action manager is still starting"));
        }
        let number = |name: &str| text(headers, name).map(str::parse::<u64>);
        let session = number("x-session").and_then(Result::ok).ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "the header `X-Session` must hold the session's number",
            )
        })?;
        let shard = match number("x-shard") {
            None => 0,
            Some(shard) => shard.ok().and_then(|shard| u32::try_from(shard).ok()).ok_or_else(|| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "the header `X-Shard` must hold a shard's number",
                )
            })?,
        };
        let key = text(headers, "idempotency-key")
            .filter(|key| (1..=LONGEST_KEY).contains(&key.len()))
            .ok_or_else(|| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    format!("the header `Idempotency-Key` must hold 1 to {LONGEST_KEY} characters"),
                )
            })?;
        request::may_act(&self.view.read(), instance, shard, session)?;
        Ok((instance, key.to_owned()))
    }

    /// Publishes requests and waits until they are durable.
    async fn publish(&self, headers: &HeaderMap, requests: Vec<ActionRequest>) -> Result<(), Problem> {
        let traceparent = text(headers, "traceparent").map(ToOwned::to_owned);
        let now = Timestamp::now();
        let mut records = Vec::with_capacity(requests.len());
        for request in requests {
            let id = MessageId::derive(&[self.bus.source(), "request", &id_of(&request).to_string()]);
            let mut envelope = Envelope::first(id, self.bus.source(), now, request);
            envelope.traceparent.clone_from(&traceparent);
            records.push(Record::of(&envelope).map_err(|error| Problem::not_yet(error.to_string()))?);
        }
        match tokio::time::timeout(CONFIRM, self.bus.send(&records)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Problem::not_yet(error.to_string())),
            Err(_) => Err(Problem::not_yet("kafka has not confirmed in time")),
        }
    }
}

fn id_of(request: &ActionRequest) -> ActionId {
    match request {
        ActionRequest::Notify { id, .. } | ActionRequest::Command { id, .. } | ActionRequest::Alert { id, .. } => *id,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Fenced(detail) => Self::new(StatusCode::CONFLICT, detail),
            Refused::Invalid(detail) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail),
            Refused::NotYet(detail) => Self::not_yet(detail),
        }
    }
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("the body does not fit: {error}"),
        )
    })
}

fn accepted(ids: &[ActionId]) -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "id": ids.first(), "ids": ids }))).into_response()
}

async fn notify(State(gateway): State<Gateway>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let (instance, key) = gateway.caller(&headers)?;
    let body: NotificationBody = parse(&body)?;
    let request = request::notification(instance, &key, body, Timestamp::now())?;
    let id = id_of(&request);
    gateway.publish(&headers, vec![request]).await?;
    metrics::counter!("action_requests_total", "kind" => "notification").increment(1);
    Ok(accepted(&[id]))
}

async fn command(State(gateway): State<Gateway>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let (instance, key) = gateway.caller(&headers)?;
    let body: CommandBody = parse(&body)?;
    let requests = request::commands(&gateway.view.read(), instance, &key, &body, Timestamp::now())?;
    let ids: Vec<ActionId> = requests.iter().map(id_of).collect();
    gateway.publish(&headers, requests).await?;
    metrics::counter!("action_requests_total", "kind" => "command").increment(ids.len() as u64);
    ids.iter().for_each(|id| gateway.recent.note(*id, instance));
    Ok(accepted(&ids))
}

async fn command_state(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let instance = gateway.instance(&headers)?;
    let not_found = || Problem::new(StatusCode::NOT_FOUND, "there is no such command of this application");
    let id: ActionId = id.parse().map_err(|_| not_found())?;
    let found = gateway
        .commands
        .get(&id.to_string())
        .await
        .map_err(|error| Problem::not_yet(error.to_string()))?;
    match found.map(|found| found.entity.command) {
        Some(command) if command.origin == (Origin::Instance { instance }) => Ok(Json(command).into_response()),
        Some(_) => Err(not_found()),
        // Taken, and on its way through Kafka.
        None if gateway.recent.knows(id, instance) => Ok(Json(json!({ "id": id, "state": "queued" })).into_response()),
        None => Err(not_found()),
    }
}

/// Serves applications until the process ends.
///
/// # Errors
/// Never; the type fits a task of the service.
pub async fn serve(door: http::Door, gateway: Gateway, shutdown: CancellationToken) -> anyhow::Result<()> {
    http::serve(door, gateway.router(), http::Limits::PROGRAMS, shutdown).await
}

#[cfg(test)]
mod tests;

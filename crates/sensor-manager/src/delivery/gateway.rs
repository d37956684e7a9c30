//! The gateway for applications: `GET /v1/stream` on loopback, where node agents forward to.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use common::messages::binding::BindingState;
use common::token::TokenKey;
use common::{InstanceId, Timestamp};
use runtime::http::Problem;
use runtime::{Bus, Entities};
use serde::Deserialize;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::hub::Hub;
use super::lease::{Holder, Wish};
use super::log::Log;
use super::store::Sessions;
use crate::binding::store::BindingRecord;
use crate::registry::Directory;

/// Largest message of an application: the largest state and what is around it.
const LARGEST_MESSAGE: usize = super::connection::LARGEST_STATE + 4096;

/// What connections share.
#[derive(Clone)]
pub struct Gateway {
    /// Checks tokens.
    pub key: TokenKey,
    /// This process.
    pub holder: Holder,
    /// Leases and checkpoints.
    pub sessions: Sessions,
    /// Bindings.
    pub bindings: Entities<BindingRecord>,
    /// Names instances whose binding was changed by this process.
    pub changes: broadcast::Sender<InstanceId>,
    /// Names and units.
    pub directory: Directory,
    /// The live end.
    pub hub: Hub,
    /// All readings.
    pub log: Arc<dyn Log>,
    /// Tells about sessions.
    pub bus: Bus,
    /// How often a connection looks whether something changed, renews its lease, says that it is there.
    pub pace: Pace,
    /// Ends all connections.
    pub shutdown: CancellationToken,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

/// Times of connections.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between renewals of a lease, looks at the binding and pings.
    pub renew: Duration,
    /// Between tries of one that stands by, and of what failed.
    pub retry: Duration,
    /// Without a sign of life for so long, an application is gone.
    pub silence: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            renew: Duration::from_secs(3),
            retry: Duration::from_millis(300),
            silence: Duration::from_secs(20),
        }
    }
}

/// What an application asks for.
#[derive(Debug, Clone, Deserialize)]
pub struct Ask {
    #[serde(default)]
    shard: u32,
    replica: String,
    /// `now`: end instead of going on live.
    #[serde(default)]
    until: Option<String>,
    /// Where a first session begins; otherwise at the moment of the binding.
    #[serde(default)]
    from: Option<Timestamp>,
}

/// Makes the routes.
pub fn router(gateway: Gateway) -> Router {
    Router::new().route("/v1/stream", get(stream)).with_state(gateway)
}

async fn stream(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    ask: Result<Query<Ask>, QueryRejection>,
    upgrade: WebSocketUpgrade,
) -> Response {
    match admit(&gateway, &headers, ask).await {
        Ok(connection) => upgrade
            .max_message_size(LARGEST_MESSAGE)
            .on_upgrade(move |socket| Box::pin(connection.serve(socket))),
        Err(problem) => problem.into_response(),
    }
}

async fn admit(
    gateway: &Gateway,
    headers: &HeaderMap,
    ask: Result<Query<Ask>, QueryRejection>,
) -> Result<Connection, Problem> {
    let instance = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .and_then(|token| gateway.key.check(token))
        .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "the token is missing or not valid"))?;
    let Query(ask) = ask.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let wrong = |detail: &str| Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    if ask.shard != 0 {
        return wrong("shard is not 0; this instance has one state, in shard 0");
    }
    if ask.replica.is_empty() || ask.replica.len() > 200 {
        return wrong("replica must have 1 to 200 characters, unique for each process");
    }
    if ask.until.as_deref().is_some_and(|until| until != "now") {
        return wrong("until can only be `now`");
    }
    let binding = gateway.bindings.get(&instance.to_string()).await?;
    match binding.map(|stored| stored.entity.binding.state) {
        Some(BindingState::Bound { .. } | BindingState::Released) => {}
        Some(BindingState::Unsatisfied { .. }) => {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the place does not have what the application needs; try again later",
            ));
        }
        None => {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the instance has no binding yet; try again",
            ));
        }
    }
    Ok(Connection {
        wish: Wish {
            instance,
            shard: ask.shard,
            replica: ask.replica,
            holder: gateway.holder.clone(),
        },
        until_now: ask.until.is_some(),
        from: ask.from,
        gateway: gateway.clone(),
    })
}

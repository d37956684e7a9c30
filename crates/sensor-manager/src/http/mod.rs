//! The HTTP endpoint for sensors and devices that do not speak MQTT.
//!
//! # Invariants
//! - 202 means that Kafka has it. What is refused is quarantined first and then answered with what is allowed.
//! - Kafka does not confirm in 12 s, which is longer than the loss of a broker takes: 503 with `Retry-After`; whether Kafka will have it is unknown, `boot` and `seq` make a repeat harmless.
//! - Requests, bodies and their number are bounded.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use common::{ActionId, ConnectorId, DeviceId, SensorId, Timestamp};
use runtime::http::{self, Problem};
use runtime::{BusError, Context};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::credentials;
use crate::devices::{self, Command, Commands};
use crate::ingest::{Fault, Ingest, Intake, Sender};
use crate::registry::Directory;

/// Largest body, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// Requests that are taken in at once.
const MAX_INTAKES: usize = 256;
/// Long polls at once.
const MAX_POLLS: usize = 10_000;
/// Longest long poll, in seconds.
const MAX_WAIT: u64 = 60;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long an answer with commands waits for the word that they were sent.
const SENT_TIME: Duration = Duration::from_secs(1);
/// How long Kafka may take to confirm.
const CONFIRM_TIME: Duration = Duration::from_secs(12);

/// What the handlers share.
pub(crate) struct App {
    ingest: Arc<Ingest>,
    commands: Arc<Commands>,
    intakes: Semaphore,
    polls: Semaphore,
    shutdown: CancellationToken,
}

/// The connector that signed in.
struct SignedIn(ConnectorId);

/// Starts the endpoint.
pub(crate) async fn start(context: &Context, ingest: Arc<Ingest>, commands: Arc<Commands>) -> anyhow::Result<()> {
    let part = context.health.part("http ingestion");
    let port = context.settings.ports.ingestion;
    let listener = TcpListener::bind(("0.0.0.0", port))
        .await
        .with_context(|| format!("could not listen for HTTP ingestion on port {port}"))?;
    let shutdown = context.shutdown.clone();
    let directory = ingest.directory.clone();
    let app = router(ingest, commands, shutdown.clone());
    let encrypted = encrypted(context, &app).await?;
    part.waits_for("the registry to be read");
    context.spawn("http ingestion", async move {
        tokio::select! {
            () = directory.caught_up() => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        part.ready();
        tracing::info!(port, encrypted = encrypted.is_some(), "listening for HTTP ingestion");
        let plain = http::serve(listener, app, http::Limits::PROGRAMS, shutdown.clone());
        match encrypted {
            None => plain.await,
            Some((door, app)) => {
                let encrypted = http::serve(door, app, http::Limits::PROGRAMS, shutdown);
                tokio::try_join!(plain, encrypted).map(drop)
            }
        }
    });
    Ok(())
}

/// The same over TLS, where there is a certificate for devices.
async fn encrypted(context: &Context, app: &Router) -> anyhow::Result<Option<(http::Door, Router)>> {
    let Some(tls) = runtime::tls::server_of(context.settings.public_certificate.as_deref())? else {
        return Ok(None);
    };
    let port = context.settings.ports.ingestion_tls;
    let listener = TcpListener::bind(("0.0.0.0", port))
        .await
        .with_context(|| format!("could not listen for HTTP ingestion over TLS on port {port}"))?;
    Ok(Some((http::Door::new(listener, Some(tls)), app.clone())))
}

/// Returns the routes.
pub(crate) fn router(ingest: Arc<Ingest>, commands: Arc<Commands>, shutdown: CancellationToken) -> Router {
    let app = Arc::new(App {
        ingest,
        commands,
        intakes: Semaphore::new(MAX_INTAKES),
        polls: Semaphore::new(MAX_POLLS),
        shutdown,
    });
    Router::new()
        .route("/v1/sensors/{sensor}/readings", post(readings))
        .route("/v1/devices/{device}/commands", get(waiting_commands))
        .route("/v1/devices/{device}/commands/{command}/state", post(report))
        .fallback(|| async {
            Problem::new(
                StatusCode::NOT_FOUND,
                "there is nothing here; allowed are POST /v1/sensors/<id>/readings, GET /v1/devices/<id>/commands and POST /v1/devices/<id>/commands/<command id>/state",
            )
        })
        .method_not_allowed_fallback(|| async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the address is right, the method is not") })
        .with_state(app)
}

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let (user, secret) = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| basic(value.to_str().ok()?))
            .ok_or_else(denied)?;
        let directory = &app.ingest.directory;
        if let Ok(connector) = user.trim().parse::<ConnectorId>() {
            let known = |directory: &Directory| directory.connector(connector).is_some();
            directory.expect(connector.uuid(), Timestamp::now(), known).await;
        }
        credentials::sign_in(directory, &user, secret.as_bytes())
            .map(|connector| Self(connector.id))
            .ok_or_else(denied)
    }
}

fn denied() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, credentials::DENIED)
        .with(header::WWW_AUTHENTICATE, "Basic realm=\"connector\"")
}

/// Reads a header of basic authentication.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, secret) = text.split_once(':')?;
    Some((user.to_owned(), secret.to_owned()))
}

async fn readings(
    State(app): State<Arc<App>>,
    SignedIn(connector): SignedIn,
    Path(sensor): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let sensor: SensorId = identity(&sensor)?;
    let _place = app.place()?;
    let payload = whole(body).await?;
    let sender = sender(connector);
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let intake = confirmed(app.ingest.readings(sender, sensor, &payload, content_type)).await?;
    let accepted = json!({"accepted": intake.0});
    let Some(refusal) = intake.1 else {
        return Ok((StatusCode::ACCEPTED, Json(accepted)).into_response());
    };
    if intake.0 > 0 {
        let partly = json!({"accepted": intake.0, "refused": refusal.count, "detail": refusal.reason});
        return Ok((StatusCode::ACCEPTED, Json(partly)).into_response());
    }
    Err(Problem::new(status(refusal.fault), refusal.reason))
}

async fn report(
    State(app): State<Arc<App>>,
    SignedIn(connector): SignedIn,
    Path((device, command)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let (device, command): (DeviceId, ActionId) = (identity(&device)?, identity(&command)?);
    let _place = app.place()?;
    let payload = whole(body).await?;
    let (_, refusal) = confirmed(app.commands.report(sender(connector), device, command, &payload)).await?;
    match refusal {
        None => Ok((StatusCode::ACCEPTED, Json(json!({}))).into_response()),
        Some(refusal) => Err(Problem::new(status(refusal.fault), refusal.reason)),
    }
}

#[derive(Debug, Deserialize)]
struct Polling {
    #[serde(default)]
    wait: u64,
}

async fn waiting_commands(
    State(app): State<Arc<App>>,
    SignedIn(connector): SignedIn,
    Path(device): Path<String>,
    query: Result<Query<Polling>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Vec<Command>>, Problem> {
    let device: DeviceId = identity(&device)?;
    let Ok(Query(Polling { wait })) = query else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "`wait` is not understood; allowed are 0 to 60 seconds",
        ));
    };
    let sender = sender(connector);
    if !app.commands.carries(sender, device) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            devices::not_carried(sender, device),
        ));
    }
    let _place = app.polls.try_acquire().map_err(|_| busy())?;
    let waiting = app.poll(device, Duration::from_secs(wait.min(MAX_WAIT))).await;
    // Only for people to see: whether the device got it shows in its report, so a kafka that is away must not keep it back.
    let sent = waiting
        .iter()
        .map(|command| app.commands.sent(device, command.id, Timestamp::now()));
    if let Err(error) = tokio::time::timeout(SENT_TIME, all(sent)).await.unwrap_or(Ok(())) {
        tracing::debug!(%device, %error, "could not tell that commands were sent");
    }
    Ok(Json(waiting.iter().map(|command| (**command).clone()).collect()))
}

async fn all<F>(sent: impl Iterator<Item = F>) -> Result<(), BusError>
where
    F: Future<Output = Result<runtime::bus::Delivery, BusError>>,
{
    let mut deliveries = Vec::new();
    for one in sent {
        deliveries.push(one.await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }
    Ok(())
}

impl App {
    /// Waits until something is there for the device, at most so long.
    async fn poll(&self, device: DeviceId, wait: Duration) -> Vec<Arc<Command>> {
        let mut watch = self.commands.watch();
        watch.add(device);
        let end = tokio::time::sleep(wait);
        tokio::pin!(end);
        loop {
            let waiting = self.commands.of(device, Timestamp::now());
            if !waiting.is_empty() {
                return waiting;
            }
            tokio::select! {
                biased;
                _ = watch.changed() => {}
                () = &mut end => return waiting,
                () = self.shutdown.cancelled() => return waiting,
            }
        }
    }

    fn place(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.intakes.try_acquire().map_err(|_| busy())
    }
}

fn busy() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once; try again")
}

fn sender(connector: ConnectorId) -> Sender {
    Sender {
        connector,
        via: "http",
        received: Timestamp::now(),
    }
}

fn identity<T: std::str::FromStr<Err = common::ids::IdError>>(text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|error: common::ids::IdError| Problem::new(StatusCode::NOT_FOUND, error.to_string()))
}

async fn whole(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, MAX_BODY)).await {
        Ok(Ok(payload)) => Ok(payload),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body did not arrive whole or is too large; allowed are {MAX_BODY} bytes"),
        )),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in 10 s",
        )),
    }
}

/// Waits until Kafka has it.
async fn confirmed(
    intake: impl Future<Output = Result<Intake, BusError>>,
) -> Result<(usize, Option<crate::ingest::Refusal>), Problem> {
    let work = async {
        let intake = intake.await?;
        intake.durable.await?;
        Ok::<_, BusError>((intake.accepted, intake.refusal))
    };
    match tokio::time::timeout(CONFIRM_TIME, work).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(error)) => {
            tracing::debug!(%error, "kafka does not confirm");
            Err(unconfirmed())
        }
        Err(_) => Err(unconfirmed()),
    }
}

fn unconfirmed() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "it could not be stored in time; send it again (with `boot` and `seq` a repeat counts once)",
    )
}

fn status(fault: Fault) -> StatusCode {
    match fault {
        Fault::NotAllowed => StatusCode::FORBIDDEN,
        Fault::UnknownTopic | Fault::Unreadable | Fault::Impossible => StatusCode::BAD_REQUEST,
    }
}

//! The application manager.
//!
//! # Role
//! Decides who may what; keeps users and the catalogue; shows everything to people: REST API and console on port 80, pages
//! of applications on an origin of their own.
//!
//! # Consumes
//! Owned: `application.commands` (how builds ended), `action.events`, `audit.log`, `sensor.quarantine`, `app.logs` (kept to be
//! looked up). Tails from their beginning: every compacted topic, into a view in memory, and `operation.events`. Tails from
//! their end: `sensor.data`, `app.logs`, `action.events`, `service.heartbeats`, for browsers that watch.
//!
//! # Produces
//! `application.events`, `user.events`, `audit.log`; on behalf of people `registry.commands`, `schedule.commands`,
//! `instance.commands`, `action.requests`.
//!
//! # Owns
//! `application_manager_*` (users, sessions, tokens, applications, operations, keys of pages), `view_*`, `log_lines`, GridFS
//! `bundles`. Reads `history`.
//!
//! # Invariants
//! - Every route but sign-in refuses who is not signed in; another person's object does not exist for the caller.
//! - A password hash, a session secret, a token and a connector's secret never leave this process but to their owner, once.
//! - The view can be thrown away at any time: it is rebuilt from the topics before the service is ready.

mod access;
mod api;
mod app;
mod archive;
pub mod bundle;
pub mod bundles;
pub mod catalogue;
mod chores;
pub mod embedded;
mod encryption;
mod hub;
mod live;
pub mod logs;
mod operations;
pub mod pages;
mod rights;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use common::messages::action::ActionEvent;
use common::messages::application::ApplicationCommand;
use common::messages::log::AuditEntry;
use common::messages::reading::Quarantine;
use runtime::{Context, http};
use tokio::net::TcpListener;

use access::{Accounts, Passwords};
use app::App;
use archive::{Keeper, MongoArchive};
use catalogue::Catalogue;

/// Secret with the token of this host.
const HOST_TOKEN: &str = "host.token";

/// Assembles the service.
///
/// # Errors
/// When a port is taken or the service is shut down while it waits for its infrastructure.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let port = context.settings.ports.console;
    let listener = TcpListener::bind(("0.0.0.0", port))
        .await
        .with_context(|| format!("could not listen on port {port}"))?;
    let archive = Arc::new(MongoArchive::new(context.mongo.database().clone()));
    let bundles = bundles::Bundles::new(context.mongo.database());
    // Each deletes what is old: once for all copies is enough.
    let duty = context.duty("forgetting");
    bundles.keep_clean(&context, duty.clone());
    let catalogue = Catalogue::new(context.entities(), bundles, context.bus.clone());
    let logs = logs::Logs::new(&context);
    let keys = pages::PageKeys::new(context.entities(), &context.settings);
    let accounts = Accounts::new(
        context.entities(),
        context.entities(),
        context.entities(),
        context.bus.clone(),
        Passwords::new()?,
    )
    .with_host_token(context.settings.secret(HOST_TOKEN).ok().as_deref());
    let app = Arc::new(App {
        ports: context.settings.ports.clone(),
        public_address: context.settings.public_address.clone(),
        device_addresses: context.settings.gateways.devices.clone(),
        bus: context.bus.clone(),
        accounts,
        view: view::ReadModel::default(),
        live: live::LiveValues::default(),
        hub: Arc::default(),
        operations: operations::Operations::new(context.entities()),
        archive: archive.clone(),
        intake: bundle::Intake::new(&context.settings),
        catalogue: catalogue.clone(),
        logs: logs.clone(),
        pages: keys.clone(),
    });

    context.consume::<ApplicationCommand, _>(Arc::new(catalogue));
    let keeper = Arc::new(Keeper(archive.clone()));
    context.consume::<ActionEvent, _>(keeper.clone());
    context.consume::<AuditEntry, _>(keeper.clone());
    context.consume::<Quarantine, _>(keeper);
    logs.run(&context, duty.clone());

    view::follow_all(&context, &app);
    chores::spawn_all(&context, &app, archive, duty);
    let health = context.health.clone();
    serve(&context, listener, router(app).merge(fitness(health))).await?;
    pages::run(&context, keys).await
}

/// Opens the doors for people: plain, and over TLS where there is a certificate for them.
async fn serve(context: &Context, listener: TcpListener, router: Router) -> anyhow::Result<()> {
    let (settings, shutdown) = (&context.settings, &context.shutdown);
    let Some(tls) = runtime::tls::server_of(settings.public_certificate.as_deref())? else {
        let served = http::serve(listener, router, http::Limits::PEOPLE, shutdown.clone());
        context.spawn("console and REST API", served);
        return Ok(());
    };
    let port = settings.ports.console_tls;
    let encrypted = TcpListener::bind(("0.0.0.0", port))
        .await
        .with_context(|| format!("could not listen on port {port}"))?;
    let leading = axum::middleware::from_fn_with_state(port, encryption::lead);
    let plain = router.clone().layer(leading);
    let served = http::serve(listener, plain, http::Limits::PEOPLE, shutdown.clone());
    context.spawn("console and REST API", served);
    let door = http::Door::new(encrypted, Some(tls));
    let served = http::serve(door, router, http::Limits::PEOPLE, shutdown.clone());
    context.spawn("console and REST API over TLS", served);
    Ok(())
}

/// Tells a load balancer whether this copy does its work: 200, or 503 with what it waits for.
fn fitness(health: runtime::health::Health) -> Router {
    let answer = move || {
        let waits = health.waiting_for();
        async move {
            if waits.is_empty() {
                (StatusCode::OK, "ready\n".to_owned())
            } else {
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("waits for {}\n", waits.join("; ")),
                )
            }
        }
    };
    Router::new().route("/healthz", get(answer))
}

/// Returns everything that port 80 serves.
fn router(app: Arc<App>) -> Router {
    api::with_security_headers(api::router(app).fallback_service(embedded::console()))
}

//! The sensor manager: what a valid reading is, who is bound to what, who may stream.
//!
//! # Role
//! Keeps the registry of types, locations, connectors, sensors and devices; is itself the endpoint for sensors and devices
//! (MQTT, HTTP); binds the slots of instances to what their place has; streams readings to instances, each into its
//! state exactly once; writes the history of the last hours.
//!
//! # Consumes
//! `registry.commands`, `instance.commands`, `instance.events`, `sensor.data` (history) in its group; tails of
//! `registry.events` (the registry in memory), `sensor.data` (delivery), `device.commands` (devices that are connected), `device.events` (what
//! devices reported to other copies).
//!
//! # Produces
//! `registry.events`, `operation.events`, `binding.events`, `session.events`, `sensor.data`, `sensor.quarantine`,
//! `device.events`.
//!
//! # Owns
//! `sensor_manager_registry`, `sensor_manager_bindings`, `sensor_manager_leases`, `sensor_manager_checkpoints`; writes
//! `history`, which the application manager reads.
//!
//! # Invariants
//! - PUBACK and 202 mean that Kafka has the reading ([`endpoints`]).
//! - Position and state of an instance are one document; of two processes that act for an instance only the one with
//!   the newer session can write it ([`delivery`]).
//! - A bound instance stays bound and follows its place ([`binding`]).
//! - Entries of the registry refer to entries that exist ([`registry`] says how far).

pub mod binding;
pub mod delivery;
pub mod endpoints;
pub mod history;
pub mod registry;

mod credentials;
mod devices;
mod http;
mod ingest;
mod mqtt;

use std::sync::Arc;

use anyhow::Context as _;
use common::messages::instance::{InstanceCommand, InstanceEvent};
use common::messages::reading::SensorData;
use common::messages::registry::RegistryCommand;
use common::token::TokenKey;
use runtime::{Context, TailFrom, http as serving};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use crate::binding::handlers::Bindings;
use crate::delivery::gateway::{self, Gateway, Pace};
use crate::delivery::hub::Hub;
use crate::delivery::lease::Holder;
use crate::delivery::log::{KafkaLog, KafkaReader, LogReader};
use crate::delivery::store::Sessions;
use crate::registry::Directory;
use crate::registry::handler::RegistryHandler;
use crate::registry::store::Registry;

/// Starts the service.
///
/// # Errors
/// When a port is taken or the token key can not be read.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let key = TokenKey::new(&context.settings.secret("token.key")?);
    let registry = Registry {
        entries: context.entities(),
    };
    // Beside a new Kafka places are told again before anybody looks for them; while MongoDB is away readings are let in all the same.
    if context.settle(&registry.entries).await.is_err() {
        tracing::debug!("the registry settles later");
    }
    let directory = Directory::start(&context);
    endpoints::start(&context, &directory).await?;
    history::start(&context, context.settled().await?);
    let bus = context.bus.clone();
    context.consume::<RegistryCommand, _>(Arc::new(RegistryHandler { registry, bus }));

    let hub = live_end(&context).await?;
    // A place that is not known yet would leave its instances waiting for nothing.
    directory.caught_up().await;
    let bindings = Bindings {
        bindings: context.settled().await?,
        sessions: Sessions {
            leases: context.entities(),
            checkpoints: context.settled().await?,
        },
        directory,
        hub,
        bus: context.bus.clone(),
        changes: broadcast::channel(256).0,
    };
    context.consume::<InstanceCommand, _>(Arc::new(bindings.clone()));
    context.consume::<InstanceEvent, _>(Arc::new(bindings.clone()));
    let duty = context.duty("bindings");
    let reconcile = binding::reconcile::run(bindings.clone(), duty, context.shutdown.clone());
    context.spawn("bindings", reconcile);
    listen(&context, bindings, key).await
}

/// Follows the live end of `sensor.data`.
async fn live_end(context: &Context) -> anyhow::Result<Hub> {
    let part = context.health.part("sensor.data tail");
    let reader = KafkaReader(context.tail::<SensorData>(TailFrom::End).await?);
    let hub = Hub::default();
    hub.begin(reader.start());
    let following = hub.clone();
    context.spawn_until_shutdown(
        "sensor.data tail",
        async move { following.follow(Box::new(reader)).await },
    );
    part.ready();
    Ok(hub)
}

/// Opens the gateway for applications.
async fn listen(context: &Context, bindings: Bindings, key: TokenKey) -> anyhow::Result<()> {
    let part = context.health.part("readings gateway");
    let port = context.settings.ports.readings;
    let listener = TcpListener::bind((context.settings.internal_address, port))
        .await
        .with_context(|| format!("could not listen for applications on port {port}"))?;
    let gateway = Gateway {
        key,
        holder: Holder {
            host: context.settings.host.clone(),
            process: context.process.clone(),
        },
        sessions: bindings.sessions,
        bindings: bindings.bindings,
        changes: bindings.changes,
        directory: bindings.directory,
        hub: bindings.hub,
        log: Arc::new(KafkaLog(context.clone())),
        bus: context.bus.clone(),
        pace: Pace::default(),
        shutdown: context.shutdown.clone(),
    };
    let router = gateway::router(gateway);
    let tls = runtime::tls::server_of(context.settings.certificate.as_deref())?;
    let several = context.can_serve(&["kafka", "mongodb"]);
    let door = serving::Door::new(listener, tls).open_while(several);
    let served = serving::serve(door, router, serving::Limits::PROGRAMS, context.shutdown.clone());
    context.spawn("readings gateway", served);
    part.ready();
    tracing::info!(port, "listening for applications");
    Ok(())
}

//! # The deployer
//!
//! **Role.** Turns versions into images and instances into Swarm services, and says how far each instance is. The only
//! service that touches Docker.
//!
//! **Consumes.** `application.events` (versions to build), `instance.commands` (start, stop), `binding.events` (whether an
//! instance has what it needs). Bundles from GridFS.
//!
//! **Produces.** `instance.events`, `application.commands` (how a build ended), `app.logs` (what a build prints),
//! `operation.events` (answers to people who stop something).
//!
//! **Owns.** `deployer_versions`, `deployer_instances`; every Swarm service and secret that carries the installation's label.
//!
//! **Invariants.**
//! - Only the deployer publishes `instance.events`; a final state is never left.
//! - Handlers record what is wanted. Three loops make it so, each by comparing what is wanted with what is: `builder` one image at a
//!   time, `executor` the Swarm services, `cleaner` what nobody needs any more (instances that ended `limits.instance_days` ago,
//!   images of deleted applications). All may be killed at any point and start again from what they find.
//! - Of several copies one makes things so ([`runtime::duty`]); each handles messages.
//! - A service is named after its instance: two deployers, or one that forgot, can not start an instance twice.
//! - That an instance is launched is durable before its service is asked for, so that a stop never misses a service.
//!
//! # The node agent (`--agent`)
//!
//! **Role.** One per application host: the only address an application knows, and the reader of what applications print.
//!
//! **Consumes.** The local Engine. **Produces.** `app.logs`, `node.events`. **Owns.** `deployer_agent_cursors`.
//!
//! **Invariants.**
//! - It forwards bytes and understands none of them.
//! - A line has the same (container, number) however often it is read; a cursor moves on only after Kafka has the lines.

mod agent;
mod backoff;
mod builder;
mod cleaner;
mod context;
mod docker;
mod ends;
mod executor;
mod handlers;
mod image;
mod instance;
mod lines;
mod plan;
mod probe;
mod reconcile;
mod records;
mod registry;
mod retention;
mod store;
mod versions;

use std::sync::Arc;

use anyhow::Context as _;
use common::token::TokenKey;
use tokio::sync::Notify;

use crate::builder::Builder;
use crate::cleaner::Cleaner;
use crate::docker::Engine;
use crate::executor::Executor;
use crate::handlers::{Applications, Bindings, Commands};
use crate::records::{InstanceRecord, VersionRecord};
use crate::registry::Registry;
use crate::store::Bundles;

/// Runs the deployer.
///
/// # Errors
/// When a secret is missing.
pub async fn run(context: runtime::Context) -> anyhow::Result<()> {
    let key = TokenKey::new(
        &context
            .settings
            .secret("token.key")
            .context("could not read the key of tokens")?,
    );
    let engine = Engine::new(
        &context.settings.engine.socket,
        &context.settings.name,
        context.settings.internal_address,
    );
    let registry = Registry::from_settings(&context.settings)?;
    let engine = engine.signed_in(registry.credentials());
    let versions = context.entities::<VersionRecord>();
    let instances = context.entities::<InstanceRecord>();
    let duty = context.duty("engine");
    let [build, reconcile, clean] = [(); 3].map(|()| Arc::new(Notify::new()));

    context.consume(Arc::new(Applications {
        versions: versions.clone(),
        bus: context.bus.clone(),
        wake: build.clone(),
        discarded: clean.clone(),
    }));
    context.consume(Arc::new(Commands {
        instances: instances.clone(),
        bus: context.bus.clone(),
        wake: reconcile.clone(),
    }));
    context.consume(Arc::new(Bindings {
        instances: instances.clone(),
        wake: reconcile.clone(),
    }));

    let builder = Builder {
        versions: versions.clone(),
        bundles: Bundles::new(&context.mongo),
        engine: engine.clone(),
        bus: context.bus.clone(),
        settings: context.settings.clone(),
        duty: duty.clone(),
        wake: build.clone(),
        built: reconcile.clone(),
    };
    context.spawn_until_shutdown("builder", builder.run());
    context.spawn_until_shutdown(
        "engine events",
        docker::events::watch(engine.clone(), reconcile.clone()),
    );
    let cleaner = Cleaner {
        instances: instances.clone(),
        versions: versions.clone(),
        engine: engine.clone(),
        registry,
        bus: context.bus.clone(),
        settings: context.settings.clone(),
        duty: duty.clone(),
        wake: clean.clone(),
        build,
    };
    context.spawn_until_shutdown("cleaner", cleaner.run());
    let executor = Executor::new(&context, engine, key, instances, versions, (reconcile, clean, duty));
    context.spawn_until_shutdown("executor", executor.run());
    Ok(())
}

/// Runs the node agent.
///
/// # Errors
/// None so far; it waits for whatever is missing.
pub async fn run_agent(context: runtime::Context) -> anyhow::Result<()> {
    agent::run(&context)?;
    Ok(())
}

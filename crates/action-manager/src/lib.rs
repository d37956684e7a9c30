//! Decides what becomes of a notification or a device command.
//!
//! # Role
//! Takes what applications ask for over HTTP ([`gateway`], reached through the node agent) and what people ask for through the REST
//! API, carries notifications to console, mail and webhook, and commands to devices until they are acknowledged, failed or expired.
//!
//! # Consumes
//! `action.requests` and `device.events` as owned work. Without a group, into [`view::View`]: `session.events` (is the caller the
//! one that may act), `binding.events` (devices of a slot), `registry.events` (what a device can do), `instance.events` (whose
//! instance it is), `user.events` (where to reach them).
//!
//! # Produces
//! `action.requests` (what the gateway took), `action.events`, `device.commands`, `operation.events`.
//!
//! # Owns
//! `action_notifications`, `action_commands`: kept as long as history is.
//!
//! # Invariants
//! - 202 means that Kafka has the request. Its id is derived from the instance, the idempotency key and the device: a repeat is
//!   the same action.
//! - A caller with an older session than the newest one gets 409 and must end: a copy left behind by a lost host does no harm.
//! - A command is executed at most until it expires; whatever ends it is followed by `Forget`.
//! - Mail and webhooks are sent by [`reconcile`], never by a handler: claimed before a try, so that two processes do not both try;
//!   after a crash in a try it is tried again (at least once, with the same id for the receiver to recognise).
//! - At most 60 notifications a minute of an instance are delivered; the rest is counted, and that is said once.

pub mod announce;
pub mod channels;
pub mod command;
pub mod gateway;
pub mod handlers;
pub mod notification;
pub mod reconcile;
pub mod request;
pub mod store;
pub mod storm;
pub mod view;

use std::sync::Arc;

use anyhow::Context as _;
use common::token::TokenKey;
use runtime::Context;
use tokio::net::TcpListener;

use crate::channels::Channels;
use crate::handlers::{DeviceEvents, Requests};
use crate::reconcile::Reconciler;
use crate::store::{Asked, Told};
use crate::storm::Storm;
use crate::view::View;

/// Assembles the service.
///
/// # Errors
/// When the token key can not be read or the gateway's port is taken.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let settings = context.settings.clone();
    let key = TokenKey::new(&settings.secret("token.key")?);
    let port = settings.ports.actions;
    let listener = TcpListener::bind((settings.internal_address, port))
        .await
        .with_context(|| format!("could not listen on port {port} for applications"))?;

    let tls = runtime::tls::server_of(settings.certificate.as_deref())?;
    let view = Arc::new(View::default());
    view::follow_all(&context, &view);
    let commands = context.entities::<Asked>();
    let notifications = context.entities::<Told>();
    let channels = Arc::new(Channels::from_settings(&settings));
    let storm = Arc::new(Storm::default());
    let wake = Arc::new(tokio::sync::Notify::new());

    let requests = Requests {
        view: view.clone(),
        bus: context.bus.clone(),
        commands: commands.clone(),
        notifications: notifications.clone(),
        channels: channels.clone(),
        storm: storm.clone(),
        wake: wake.clone(),
    };
    let reconciler = Arc::new(Reconciler {
        view: view.clone(),
        bus: context.bus.clone(),
        commands: commands.clone(),
        notifications,
        channels,
        storm,
        history_hours: settings.limits.history_hours,
    });
    context.consume(Arc::new(requests));
    context.consume(Arc::new(DeviceEvents::new(commands.clone(), context.bus.clone())));
    let duty = context.duty("reconcile");
    let delivering = reconcile::deliveries(reconciler.clone(), duty.clone(), wake);
    context.spawn_until_shutdown("deliveries", delivering);
    context.spawn_until_shutdown("expiry", reconcile::expiry(reconciler.clone(), duty.clone()));
    context.spawn_until_shutdown("forgetting", reconcile::forgetting(reconciler, duty));
    let gateway = gateway::Gateway::new(view, key, context.bus.clone(), commands);
    let door = runtime::http::Door::new(listener, tls);
    let served = gateway::serve(
        door.open_while(context.can_serve(&["kafka"])),
        gateway,
        context.shutdown.clone(),
    );
    context.spawn("gateway", served);
    Ok(())
}

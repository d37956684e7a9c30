//! Tails that keep the view, the last values and the browsers' streams current.

use std::sync::Arc;

use common::messages::action::ActionEvent;
use common::messages::application::ApplicationEvent;
use common::messages::binding::BindingEvent;
use common::messages::health::{Heartbeat, NodeEvent, ServiceEvent};
use common::messages::instance::InstanceEvent;
use common::messages::log::AppLog;
use common::messages::operation::OperationEvent;
use common::messages::reading::SensorData;
use common::messages::registry::RegistryEvent;
use common::messages::schedule::ScheduleEvent;
use common::messages::user::UserEvent;
use common::{Message, Timestamp};
use runtime::{Context, TailFrom, TailItem};

use super::{Fold, View};
use crate::app::App;
use crate::hub::Signal;

/// Longer than history and the archive take to be written.
const UNWRITTEN_MILLIS: i64 = 120_000;

/// Begins to follow every topic this process shows something of.
pub(crate) fn follow_all(context: &Context, app: &Arc<App>) {
    into_view::<UserEvent>(context, app);
    into_view::<ApplicationEvent>(context, app);
    into_view::<ScheduleEvent>(context, app);
    into_view::<InstanceEvent>(context, app);
    into_view::<BindingEvent>(context, app);
    into_view::<RegistryEvent>(context, app);
    into_view::<ServiceEvent>(context, app);
    into_view::<NodeEvent>(context, app);
    operations(context, app);
    live::<Heartbeat>(context, app, |app, beat| app.view.change(|view| view.fold(beat)));
    live::<SensorData>(context, app, |app, SensorData::Reading(reading)| {
        app.live
            .push(reading)
            .then(|| Signal::Reading(Arc::new(reading.clone())))
    });
    live::<AppLog>(context, app, |_, lines| Some(Signal::Lines(Arc::new(lines.clone()))));
    live::<ActionEvent>(context, app, |app, event| {
        Some(match event {
            ActionEvent::Notification { notification } => Signal::Notification(Arc::from(notification.clone())),
            ActionEvent::Command { command } => {
                app.live.command(command);
                Signal::Command(Arc::from(command.clone()))
            }
        })
    });
}

/// Reads a compacted topic from its beginning into the view.
fn into_view<M: Message>(context: &Context, app: &Arc<App>)
where
    View: Fold<M>,
{
    let part = context.health.part(&format!("view of {}", M::TOPIC.name()));
    part.waits_for("what was there before");
    app.view.begins();
    let (tails, app) = (context.clone(), app.clone());
    context.spawn_until_shutdown(&format!("view of {}", M::TOPIC.name()), async move {
        let mut tail = tails.tail::<M>(TailFrom::Beginning).await?;
        loop {
            let item = tail.next().await?;
            let place = item.place();
            let signal = match item {
                TailItem::Message(placed) => app.view.change(|view| view.fold(&placed.envelope.message)),
                TailItem::Tombstone { key, .. } => app.view.change(|view| Fold::<M>::bury(view, &key)),
                TailItem::Skipped { .. } => None,
                TailItem::CaughtUp => {
                    app.view.caught_up();
                    part.ready();
                    None
                }
            };
            if let Some((partition, offset)) = place {
                app.view.pass(M::TOPIC, partition, offset);
            }
            // Before that, browsers would be told of every state that ever was.
            if let Some(signal) = signal.filter(|_| app.view.is_complete()) {
                app.hub.publish(signal);
            }
        }
    });
}

/// Reads the answers of a day: a retried request must find the one that was given to it.
fn operations(context: &Context, app: &Arc<App>) {
    let part = context.health.part("answers to operations");
    part.waits_for("what was there before");
    app.view.begins();
    let (tails, app) = (context.clone(), app.clone());
    context.spawn_until_shutdown("answers to operations", async move {
        let mut tail = tails.tail::<OperationEvent>(TailFrom::Beginning).await?;
        loop {
            let item = tail.next().await?;
            let place = item.place();
            match item {
                TailItem::Message(placed) => {
                    let id = app.operations.fold(&placed.envelope.message, placed.envelope.time);
                    app.hub.publish(Signal::Operation(id));
                }
                TailItem::Tombstone { .. } | TailItem::Skipped { .. } => {}
                TailItem::CaughtUp => {
                    app.view.caught_up();
                    part.ready();
                }
            }
            if let Some((partition, offset)) = place {
                app.view.pass(OperationEvent::TOPIC, partition, offset);
            }
        }
    });
}

/// Reads what comes from now on, and the last minutes: what is not in the archive yet.
fn live<M: Message>(context: &Context, app: &Arc<App>, take: fn(&App, &M) -> Option<Signal>) {
    let (tails, app) = (context.clone(), app.clone());
    context.spawn_until_shutdown(&format!("live {}", M::TOPIC.name()), async move {
        let lately = Timestamp::now().plus_millis(-UNWRITTEN_MILLIS);
        let from = match tails.offsets_for_time(M::TOPIC, lately).await {
            Ok(offsets) => TailFrom::Offsets(offsets),
            Err(_) => TailFrom::End,
        };
        let mut tail = tails.tail::<M>(from).await?;
        let mut now = false;
        loop {
            match tail.next().await? {
                TailItem::Message(placed) => {
                    let signal = take(&app, &placed.envelope.message);
                    // Who watches was told of what is older, or reads it.
                    if let Some(signal) = signal.filter(|_| now) {
                        app.hub.publish(signal);
                    }
                }
                TailItem::CaughtUp => now = true,
                TailItem::Tombstone { .. } | TailItem::Skipped { .. } => {}
            }
        }
    });
}

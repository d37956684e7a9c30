//! Tails that keep the view, the last values and the browsers' streams current.

use std::sync::Arc;

use common::Message;
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
use runtime::{Context, TailFrom, TailItem};

use super::{Fold, View};
use crate::app::App;
use crate::hub::Signal;

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
            let signal = match tail.next().await? {
                TailItem::Message(placed) => app.view.change(|view| view.fold(&placed.envelope.message)),
                TailItem::Tombstone { key, .. } => app.view.change(|view| Fold::<M>::bury(view, &key)),
                TailItem::Skipped { .. } => None,
                TailItem::CaughtUp => {
                    app.view.caught_up();
                    part.ready();
                    None
                }
            };
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
            match tail.next().await? {
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
        }
    });
}

/// Reads what comes from now on.
fn live<M: Message>(context: &Context, app: &Arc<App>, take: fn(&App, &M) -> Option<Signal>) {
    let (tails, app) = (context.clone(), app.clone());
    context.spawn_until_shutdown(&format!("live {}", M::TOPIC.name()), async move {
        let mut tail = tails.tail::<M>(TailFrom::End).await?;
        loop {
            if let TailItem::Message(placed) = tail.next().await?
                && let Some(signal) = take(&app, &placed.envelope.message)
            {
                app.hub.publish(signal);
            }
        }
    });
}

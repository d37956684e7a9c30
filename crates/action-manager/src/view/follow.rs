//! The tails.

use std::sync::Arc;

use common::Message;
use common::messages::binding::{BindingEvent, SessionEvent};
use common::messages::instance::InstanceEvent;
use common::messages::registry::RegistryEvent;
use common::messages::user::UserEvent;
use runtime::{Context, TailFrom, TailItem};

use super::{Fold, Known, View};

/// Begins to follow every topic of the view.
pub fn follow_all(context: &Context, view: &Arc<View>) {
    follow::<SessionEvent>(context, view);
    follow::<BindingEvent>(context, view);
    follow::<InstanceEvent>(context, view);
    follow::<RegistryEvent>(context, view);
    follow::<UserEvent>(context, view);
}

fn follow<M: Message>(context: &Context, view: &Arc<View>)
where
    Known: Fold<M>,
{
    let name = format!("view of {}", M::TOPIC.name());
    let part = context.health.part(&name);
    part.waits_for("what was said before");
    view.begins();
    let (tails, view) = (context.clone(), view.clone());
    context.spawn_until_shutdown(&name, async move {
        let mut tail = tails.tail::<M>(TailFrom::Beginning).await?;
        loop {
            match tail.next().await? {
                TailItem::Message(placed) => view.write().fold(&placed.envelope.message),
                TailItem::Tombstone { key, .. } => view.write().forget(&key),
                TailItem::Skipped { .. } => {}
                TailItem::CaughtUp => {
                    view.caught_up();
                    part.ready();
                }
            }
        }
    });
}

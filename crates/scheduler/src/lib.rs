//! Decides when an occurrence of a schedule is due, and asks for its instance.
//!
//! # Role
//! Takes schedules from the REST API, watches the clock (every 200 ms), and for each due moment either asks for an instance or
//! records why not. The instance's id is derived from the schedule and the due moment, so asking twice is asking once.
//!
//! # Consumes
//! `schedule.commands` (create, pause, resume, delete), `instance.events` (which instances are over, for overlaps; also as a tail, so that
//! the end of an instance is known while partitions go from one copy to another).
//!
//! # Produces
//! `instance.commands` (Start, and Stop of an instance that is replaced), `schedule.events`, `operation.events`.
//!
//! # Owns
//! `scheduler_schedules`: each schedule with its own watermark ([`store::Tracked::through`]: every due moment up to it is
//! decided), its next due moment and its instances that are not over.
//!
//! # Invariants
//! - The decision on a due moment, the Start, the new watermark and the event are one compare-and-swap ([`due::settle`] decides,
//!   the document's outbox carries the Start). A crash before it: the moment is decided after the restart, by the policy for
//!   missed ones. A crash after it: the outbox is published by the sweep, at worst again with the same ids.
//! - What is at most a minute late is on time. Later is missed: `skip` records it, `once` runs the latest if it is at most an hour
//!   late, `all` runs the latest 100, oldest first. Policies for overlaps hold for these as well.
//! - Every due moment is started once or recorded as skipped with its reason, never both.
//! - Two schedulers are harmless: they race for the same compare-and-swap. What one of them learns reaches the other through
//!   the store within ten seconds.
//! - The clock may jump: back, and nothing is started again; forward, and what was jumped over is missed.

pub mod announce;
pub mod book;
pub mod command;
pub mod due;
pub mod handlers;
pub mod store;
pub mod ticker;

use std::sync::Arc;

use runtime::{Context, TailFrom};

use crate::book::Book;
use crate::handlers::{InstanceEvents, ScheduleCommands};
use crate::store::Tracked;
use crate::ticker::Ticker;

/// Assembles the service.
///
/// # Errors
/// When it is shut down before Kafka answers.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let schedules = context.entities::<Tracked>();
    let book = Arc::new(Book::default());
    let ticker = Ticker::new(schedules.clone(), context.bus.clone(), book.clone());
    context.spawn_until_shutdown("clock", ticker::run(ticker, context.health.part("schedules")));
    context.consume(Arc::new(ScheduleCommands::new(
        schedules.clone(),
        context.bus.clone(),
        book,
    )));
    context.consume(Arc::new(InstanceEvents::new(schedules.clone())));
    let tail = context.tail(TailFrom::End).await?;
    let hearing = handlers::hear(InstanceEvents::new(schedules), tail);
    context.spawn_until_shutdown("ends of instances", hearing);
    Ok(())
}

//! The clock: looks five times a second for schedules that are due.

use std::sync::Arc;
use std::time::Duration;

use common::{ScheduleId, Timestamp};
use futures_util::StreamExt as _;
use runtime::health::Part;
use runtime::{Applied, ApplyError, Bus, Change, Entities, StoreError};

use crate::announce::{self, Cause};
use crate::book::Book;
use crate::due::{self, Decision};
use crate::store::{Tracked, awake};

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_millis(200);
/// Looks between two readings of the store, to learn what another scheduler did.
const TICKS_PER_RELOAD: u32 = 50;
/// Schedules that are settled at once.
const CONCURRENCY: usize = 16;

/// Settles schedules that are due.
#[derive(Debug, Clone)]
pub struct Ticker {
    schedules: Entities<Tracked>,
    bus: Bus,
    book: Arc<Book>,
}

impl Ticker {
    /// Works on the schedules of a store.
    #[must_use]
    pub fn new(schedules: Entities<Tracked>, bus: Bus, book: Arc<Book>) -> Self {
        Self { schedules, bus, book }
    }

    /// Reads from the store when each schedule is due next.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reload(&self) -> Result<(), StoreError> {
        for stored in self.schedules.list(&[("awake", awake(true))]).await? {
            self.book.note(stored.entity.schedule.id, stored.entity.wake);
        }
        metrics::gauge!("scheduler_schedules").set(u32::try_from(self.book.len()).unwrap_or(u32::MAX));
        Ok(())
    }

    /// Settles every schedule that is due at that moment. Those that fail stay due.
    pub async fn tick(&self, now: Timestamp) {
        futures_util::stream::iter(self.book.due(now))
            .for_each_concurrent(CONCURRENCY, |id| async move {
                if let Err(error) = self.settle(id, now).await {
                    tracing::warn!(schedule = %id, error, "an occurrence waits");
                }
            })
            .await;
    }

    async fn settle(&self, id: ScheduleId, now: Timestamp) -> Result<(), String> {
        let mut decided = Decision::default();
        let applied = self
            .schedules
            .apply(&id.to_string(), None, |current, version| {
                let Some(tracked) = current.filter(|tracked| tracked.wake.is_some_and(|wake| wake <= now)) else {
                    return Ok(Change::Keep);
                };
                let mut settled = due::settle(tracked.clone(), now)?;
                let records = announce::records(self.bus.source(), &mut settled, version, &Cause::default(), now)
                    .map_err(|error| error.to_string())?;
                decided = settled.decision;
                Ok::<_, String>(Change::Put {
                    entity: settled.tracked,
                    records,
                })
            })
            .await;
        match applied {
            Ok(Applied::Changed(stored)) => {
                count(&decided, Timestamp::now());
                self.book.note(id, stored.entity.wake);
                Ok(())
            }
            Ok(Applied::Kept(stored) | Applied::Duplicate(stored)) => {
                self.book.note(id, stored.and_then(|stored| stored.entity.wake));
                Ok(())
            }
            Ok(Applied::Deleted) => {
                self.book.note(id, None);
                Ok(())
            }
            Err(ApplyError::Refused(error)) => Err(error),
            Err(ApplyError::Store(error)) => Err(error.to_string()),
        }
    }
}

/// Counts what was decided.
pub fn count(decision: &Decision, now: Timestamp) {
    for due in &decision.start {
        metrics::counter!("scheduler_starts_total").increment(1);
        let late = Duration::from_millis(u64::try_from(now.millis_since(*due)).unwrap_or(0));
        metrics::histogram!("scheduler_lateness_seconds").record(late.as_secs_f64());
    }
    for (due, reason) in &decision.skip {
        metrics::counter!("scheduler_skips_total", "reason" => reason.name()).increment(1);
        tracing::info!(%due, %reason, "skipped an occurrence");
    }
}

/// Ticks until the process ends. Never sleeps until a far moment: the clock may jump.
///
/// # Errors
/// Never.
pub async fn run(ticker: Ticker, part: Part) -> anyhow::Result<()> {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut until_reload = 0;
    loop {
        interval.tick().await;
        if until_reload == 0 {
            match ticker.reload().await {
                Ok(()) => {
                    part.ready();
                    until_reload = TICKS_PER_RELOAD;
                }
                Err(error) => {
                    part.waits_for("its schedules");
                    tracing::warn!(%error, "schedules can not be read");
                }
            }
        }
        until_reload = until_reload.saturating_sub(1);
        ticker.tick(Timestamp::now()).await;
    }
}

//! What becomes of due moments: started or skipped, by the policies of the schedule. Pure.

use std::collections::BTreeSet;
use std::fmt;

use common::messages::schedule::{Occurrence, ScheduleStatus, Skip};
use common::rules::occurrences::{self, CATCH_UP_MILLIS};
use common::schedule::{Missed, Overlap, When};
use common::{InstanceId, ScheduleId, Timestamp};

use crate::store::Tracked;

/// How late an occurrence may start and still be on time, in milliseconds: a restart of anything takes less.
pub const ON_TIME_MILLIS: i64 = 60_000;
/// Missed occurrences that are run at most.
pub const MOST_MISSED: usize = 100;
/// Skips that a schedule shows.
const RECENT_SKIPS: usize = 20;
/// How far back due moments are looked for after an absence, in milliseconds.
const LOOK_BACK_MILLIS: i64 = 60 * 24 * CATCH_UP_MILLIS;

/// Why a due moment is not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The schedule was paused.
    Paused,
    /// It is so many milliseconds late, and the policy does not want it.
    Missed(i64),
    /// An earlier instance is not over.
    Overlap,
    /// A later occurrence replaces it at once.
    Replaced,
    /// The time after which it is to be stopped has passed.
    Over,
}

impl Reason {
    /// Returns the name, for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Missed(_) => "missed",
            Self::Overlap => "overlap",
            Self::Replaced => "replaced",
            Self::Over => "over",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused => f.write_str("the schedule was paused"),
            Self::Missed(late) => write!(f, "missed: it could only have started {} late", span(*late)),
            Self::Overlap => f.write_str("the instance before it was still running"),
            Self::Replaced => f.write_str("the next occurrence was due as well"),
            Self::Over => f.write_str("it would have been stopped before it could start"),
        }
    }
}

/// Says a number of milliseconds in the largest unit that fits.
fn span(millis: i64) -> String {
    let (count, unit) = match millis / 1000 {
        seconds @ ..=119 => (seconds, "seconds"),
        seconds @ ..=7199 => (seconds / 60, "minutes"),
        seconds @ ..=172_799 => (seconds / 3600, "hours"),
        seconds => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}

/// What is to be done about the due moments up to now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Started, oldest first.
    pub start: Vec<Timestamp>,
    /// Instances that make way.
    pub stop: Vec<InstanceId>,
    /// Skipped, oldest first.
    pub skip: Vec<(Timestamp, Reason)>,
    /// The newest due moment that is decided.
    pub through: Option<Timestamp>,
    /// The due moment after now.
    pub wake: Option<Timestamp>,
}

/// A schedule after a decision, and what to ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The schedule.
    pub tracked: Tracked,
    /// What was decided.
    pub decision: Decision,
}

/// Returns the id of the instance of a due moment.
#[must_use]
pub fn instance_of(schedule: ScheduleId, due: Timestamp) -> InstanceId {
    InstanceId::derive(&[&schedule.to_string(), &due.to_string()])
}

/// Returns when the due moments of a schedule begin: those after this one count.
#[must_use]
pub fn beginning(when: &When, created: Timestamp) -> Timestamp {
    match when {
        // Due at its creation.
        When::Now => created.plus_millis(-1),
        // A moment that has just passed is still run.
        When::Once { .. } => created.plus_millis(-CATCH_UP_MILLIS - 1),
        When::Cron { .. } => created,
    }
}

/// Returns up to `count` due moments after a moment.
fn upcoming(tracked: &Tracked, after: Timestamp, count: usize) -> Result<Vec<Timestamp>, String> {
    match &tracked.schedule.spec.when {
        When::Now => Ok(Some(tracked.schedule.created)
            .filter(|created| *created > after)
            .into_iter()
            .collect()),
        when => occurrences::next(when, after, count),
    }
}

/// Returns the next due moment after a moment.
///
/// # Errors
/// When the schedule's expression or zone is not known any more.
pub fn next_due(tracked: &Tracked, after: Timestamp) -> Result<Option<Timestamp>, String> {
    Ok(upcoming(tracked, after, 1)?.first().copied())
}

/// Decides on every due moment after the watermark up to now.
///
/// # Errors
/// When the schedule's expression or zone is not known any more.
pub fn decide(tracked: &Tracked, now: Timestamp) -> Result<Decision, String> {
    if tracked.schedule.status == ScheduleStatus::Finished {
        return Ok(Decision::default());
    }
    let mut from = tracked.through.max(now.plus_millis(-LOOK_BACK_MILLIS));
    let mut dues = Vec::new();
    let wake = loop {
        let more = upcoming(tracked, from, 64)?;
        let Some(last) = more.last().copied() else { break None };
        dues.extend(more.iter().copied().filter(|due| *due <= now));
        if let Some(wake) = more.into_iter().find(|due| *due > now) {
            break Some(wake);
        }
        from = last;
    };
    let mut decision = Decision {
        through: dues.last().copied(),
        wake,
        ..Decision::default()
    };
    let mut wanted = Vec::new();
    for (position, due) in dues.iter().enumerate() {
        match why_not(tracked, *due, dues.len() - position, now) {
            Some(reason) => decision.skip.push((*due, reason)),
            None => wanted.push(*due),
        }
    }
    overlap(tracked, &wanted, &mut decision);
    decision.skip.sort_by_key(|(due, _)| *due);
    Ok(decision)
}

/// Says why a due moment is not wanted, apart from overlaps. `from_end`: 1 for the latest.
fn why_not(tracked: &Tracked, due: Timestamp, from_end: usize, now: Timestamp) -> Option<Reason> {
    if tracked.schedule.status == ScheduleStatus::Paused {
        return Some(Reason::Paused);
    }
    if stop_at(tracked, due).is_some_and(|stop_at| stop_at <= now) {
        return Some(Reason::Over);
    }
    // What was in the past already when the schedule was created is not late before that.
    let late = now.millis_since(due.max(tracked.schedule.created));
    let runs = late <= ON_TIME_MILLIS
        || match tracked.schedule.spec.policies.missed {
            Missed::Skip => false,
            Missed::Once => from_end == 1 && late <= CATCH_UP_MILLIS,
            Missed::All => from_end <= MOST_MISSED,
        };
    (!runs).then_some(Reason::Missed(late))
}

/// Sorts wanted due moments into starts and skips by the policy for overlaps.
fn overlap(tracked: &Tracked, wanted: &[Timestamp], decision: &mut Decision) {
    let id = tracked.schedule.id;
    let mut running: BTreeSet<InstanceId> = tracked.active.keys().copied().collect();
    for (position, due) in wanted.iter().enumerate() {
        let last = position + 1 == wanted.len();
        match tracked.schedule.spec.policies.overlap {
            Overlap::Forbid if !running.is_empty() => decision.skip.push((*due, Reason::Overlap)),
            Overlap::Replace if !last => decision.skip.push((*due, Reason::Replaced)),
            Overlap::Replace => {
                decision.stop.extend(&running);
                decision.start.push(*due);
            }
            Overlap::Forbid | Overlap::Allow => {
                running.insert(instance_of(id, *due));
                decision.start.push(*due);
            }
        }
    }
}

/// Returns when the instance of a due moment is to be stopped at the latest.
#[must_use]
pub fn stop_at(tracked: &Tracked, due: Timestamp) -> Option<Timestamp> {
    let seconds = tracked.schedule.spec.policies.stop_after_seconds?;
    Some(due.plus_millis(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)))
}

/// Decides and brings the schedule up to date. The version is set where it is written.
///
/// # Errors
/// When the schedule's expression or zone is not known any more.
pub fn settle(mut tracked: Tracked, now: Timestamp) -> Result<Settled, String> {
    let decision = decide(&tracked, now)?;
    tracked.through = decision.through.unwrap_or(tracked.through);
    tracked.wake = decision.wake;
    for due in &decision.start {
        let instance = instance_of(tracked.schedule.id, *due);
        tracked.activate(instance, *due);
        tracked.schedule.last = Some(Occurrence { due: *due, instance });
    }
    let schedule = &mut tracked.schedule;
    schedule.skipped += decision.skip.len() as u64;
    schedule
        .recent_skips
        .extend(decision.skip.iter().map(|(due, reason)| Skip {
            due: *due,
            reason: reason.to_string(),
        }));
    let surplus = schedule.recent_skips.len().saturating_sub(RECENT_SKIPS);
    schedule.recent_skips.drain(..surplus);
    show(&mut tracked);
    Ok(Settled { tracked, decision })
}

/// Makes what others see of the schedule's future true.
pub fn show(tracked: &mut Tracked) {
    let schedule = &mut tracked.schedule;
    if tracked.wake.is_none() {
        schedule.status = ScheduleStatus::Finished;
    }
    schedule.next_due = tracked.wake.filter(|_| schedule.status == ScheduleStatus::Active);
}

#[cfg(test)]
pub(crate) mod tests;

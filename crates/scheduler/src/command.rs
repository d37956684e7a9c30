//! What becomes of a command on a schedule. Pure.

use std::collections::BTreeMap;

use common::messages::operation::{Refusal, Requester};
use common::messages::schedule::{Schedule, ScheduleCommand, ScheduleStatus};
use common::rules::occurrences;
use common::{ScheduleId, Timestamp};

use crate::due::{self, Settled};
use crate::store::Tracked;

/// What a command does.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Write this and publish what it asks for.
    Put(Box<Settled>),
    /// Delete it.
    Delete,
    /// It is so already.
    Same,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Kind.
    pub reason: Refusal,
    /// For the person.
    pub detail: String,
}

impl Refused {
    fn new(reason: Refusal, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// Returns whom the answer is for, and which schedule it is about.
#[must_use]
pub fn addressed(command: &ScheduleCommand) -> (ScheduleId, &Requester) {
    match command {
        ScheduleCommand::Create { id, by, .. }
        | ScheduleCommand::Pause { id, by }
        | ScheduleCommand::Resume { id, by }
        | ScheduleCommand::Delete { id, by } => (*id, by),
    }
}

/// Decides on a command.
///
/// # Errors
/// When it is refused.
pub fn decide(current: Option<&Tracked>, command: &ScheduleCommand, now: Timestamp) -> Result<Outcome, Refused> {
    let existing = || current.ok_or_else(|| Refused::new(Refusal::NotFound, "there is no such schedule"));
    match command {
        ScheduleCommand::Create { id, owner, spec, .. } => {
            if current.is_some() {
                return Err(Refused::new(
                    Refusal::Conflict,
                    "a schedule with this id exists already",
                ));
            }
            occurrences::check(&spec.when, now).map_err(|detail| Refused::new(Refusal::Invalid, detail))?;
            let schedule = Schedule {
                id: *id,
                owner: *owner,
                spec: (**spec).clone(),
                status: ScheduleStatus::Active,
                next_due: None,
                last: None,
                skipped: 0,
                recent_skips: Vec::new(),
                created: now,
                version: 0,
            };
            settle(
                Tracked {
                    through: due::beginning(&schedule.spec.when, now),
                    schedule,
                    wake: None,
                    active: BTreeMap::new(),
                },
                now,
            )
        }
        ScheduleCommand::Pause { .. } => switch(existing()?, ScheduleStatus::Paused, now),
        ScheduleCommand::Resume { .. } => switch(existing()?, ScheduleStatus::Active, now),
        // Deleting twice is deleting once.
        ScheduleCommand::Delete { .. } => Ok(current.map_or(Outcome::Same, |_| Outcome::Delete)),
    }
}

fn settle(tracked: Tracked, now: Timestamp) -> Result<Outcome, Refused> {
    due::settle(tracked, now)
        .map(|settled| Outcome::Put(Box::new(settled)))
        .map_err(|detail| Refused::new(Refusal::Invalid, detail))
}

/// Pauses or resumes. What is due until now is decided by the status that was.
fn switch(current: &Tracked, status: ScheduleStatus, now: Timestamp) -> Result<Outcome, Refused> {
    if current.schedule.status == status {
        return Ok(Outcome::Same);
    }
    let finished = || {
        Refused::new(
            Refusal::Conflict,
            "the schedule is finished: it has no more occurrences",
        )
    };
    if current.schedule.status == ScheduleStatus::Finished {
        return Err(finished());
    }
    let Outcome::Put(mut settled) = settle(current.clone(), now)? else {
        return Err(finished());
    };
    settled.tracked.schedule.status = status;
    due::show(&mut settled.tracked);
    Ok(Outcome::Put(settled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::due::tests::{at, tracked};
    use common::schedule::{Policies, When};
    use common::{OperationId, UserId};

    fn by() -> Requester {
        Requester {
            user: UserId::new(),
            operation: OperationId::new(),
        }
    }

    fn daily() -> When {
        When::Cron {
            expression: "0 8 * * *".to_owned(),
            zone: "UTC".to_owned(),
        }
    }

    fn create(when: When) -> ScheduleCommand {
        let spec = tracked(when, Policies::default(), at("2026-01-01T00:00:00Z"))
            .schedule
            .spec;
        ScheduleCommand::Create {
            id: ScheduleId::new(),
            by: by(),
            owner: UserId::new(),
            spec: Box::new(spec),
        }
    }

    fn put(outcome: Result<Outcome, Refused>) -> Settled {
        match outcome {
            Ok(Outcome::Put(settled)) => *settled,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn now_starts_at_once_and_is_finished() {
        let now = at("2026-01-01T10:00:00.123Z");
        let settled = put(decide(None, &create(When::Now), now));
        assert_eq!(settled.decision.start, [now]);
        assert_eq!(settled.tracked.schedule.status, ScheduleStatus::Finished);
        assert_eq!(settled.tracked.wake, None);
        assert_eq!(settled.tracked.schedule.last.as_ref().unwrap().due, now);
    }

    #[test]
    fn a_moment_that_has_just_passed_is_run_and_an_older_one_refused() {
        let now = at("2026-01-01T10:00:00Z");
        let settled = put(decide(
            None,
            &create(When::Once {
                at: at("2026-01-01T09:01:00Z"),
            }),
            now,
        ));
        assert_eq!(settled.decision.start, [at("2026-01-01T09:01:00Z")]);
        let refused = decide(
            None,
            &create(When::Once {
                at: at("2026-01-01T08:59:00Z"),
            }),
            now,
        )
        .unwrap_err();
        assert_eq!(refused.reason, Refusal::Invalid);
        let later = put(decide(
            None,
            &create(When::Once {
                at: at("2026-01-02T00:00:00Z"),
            }),
            now,
        ));
        assert_eq!(later.tracked.schedule.next_due, Some(at("2026-01-02T00:00:00Z")));
        assert!(later.decision.start.is_empty());
    }

    #[test]
    fn pausing_hides_the_next_due_moment_and_resuming_shows_it() {
        let now = at("2026-01-01T07:00:00Z");
        let made = put(decide(None, &create(daily()), now)).tracked;
        let id = made.schedule.id;
        assert_eq!(made.schedule.next_due, Some(at("2026-01-01T08:00:00Z")));
        let pause = ScheduleCommand::Pause { id, by: by() };
        let paused = put(decide(Some(&made), &pause, now)).tracked;
        assert_eq!(paused.schedule.next_due, None);
        assert_eq!(
            paused.wake,
            Some(at("2026-01-01T08:00:00Z")),
            "skips are still recorded"
        );
        assert_eq!(decide(Some(&paused), &pause, now), Ok(Outcome::Same));
        // Two days pass without a tick: what was due in between is recorded as skipped by the resume itself.
        let resumed = put(decide(
            Some(&paused),
            &ScheduleCommand::Resume { id, by: by() },
            at("2026-01-02T09:00:00Z"),
        ));
        assert_eq!(resumed.decision.skip.len(), 2);
        assert!(resumed.decision.start.is_empty());
        assert_eq!(resumed.tracked.schedule.next_due, Some(at("2026-01-03T08:00:00Z")));
    }

    #[test]
    fn refusals() {
        let now = at("2026-01-01T10:00:00Z");
        let made = put(decide(None, &create(When::Now), now)).tracked;
        let id = made.schedule.id;
        let kind = |current, command: ScheduleCommand| decide(current, &command, now).unwrap_err().reason;
        assert_eq!(kind(Some(&made), create(When::Now)), Refusal::Conflict);
        assert_eq!(
            kind(Some(&made), ScheduleCommand::Pause { id, by: by() }),
            Refusal::Conflict
        );
        assert_eq!(kind(None, ScheduleCommand::Resume { id, by: by() }), Refusal::NotFound);
        let impossible = When::Cron {
            expression: "0 0 30 2 *".to_owned(),
            zone: "UTC".to_owned(),
        };
        assert_eq!(kind(None, create(impossible)), Refusal::Invalid);
        assert_eq!(
            decide(Some(&made), &ScheduleCommand::Delete { id, by: by() }, now),
            Ok(Outcome::Delete)
        );
        assert_eq!(
            decide(None, &ScheduleCommand::Delete { id, by: by() }, now),
            Ok(Outcome::Same)
        );
    }
}

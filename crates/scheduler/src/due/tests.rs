use std::collections::BTreeMap;

use super::*;
use common::messages::schedule::{Schedule, ScheduleSpec, VersionRef};
use common::schedule::Policies;
use common::{ApplicationId, LocationId, UserId, VersionId};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A schedule as its creation leaves it before anything was decided.
pub(crate) fn tracked(when: When, policies: Policies, created: Timestamp) -> Tracked {
    let manifest = serde_json::from_value(serde_json::json!({
        "manifest": 1, "name": "room-comfort", "title": "Room comfort", "version": "1.0.0",
        "runtime": { "python": "3" }, "start": ["python", "main.py"]
    }))
    .unwrap();
    let through = beginning(&when, created);
    let mut tracked = Tracked {
        schedule: Schedule {
            id: ScheduleId::new(),
            owner: UserId::new(),
            spec: ScheduleSpec {
                name: "comfort".to_owned(),
                version: VersionRef {
                    application: ApplicationId::new(),
                    version: VersionId::new(),
                    number: "1.0.0".to_owned(),
                    developer: UserId::new(),
                    manifest,
                },
                location: LocationId::new(),
                location_path: "Building A".to_owned(),
                parameters: BTreeMap::new(),
                when,
                policies,
            },
            status: ScheduleStatus::Active,
            next_due: None,
            last: None,
            skipped: 0,
            recent_skips: Vec::new(),
            created,
            version: 1,
        },
        through,
        wake: None,
        active: BTreeMap::new(),
    };
    tracked.wake = next_due(&tracked, through).unwrap();
    show(&mut tracked);
    tracked
}

pub(crate) fn cron(expression: &str) -> When {
    When::Cron {
        expression: expression.to_owned(),
        zone: "UTC".to_owned(),
    }
}

fn policies(missed: Missed, overlap: Overlap) -> Policies {
    Policies {
        missed,
        overlap,
        stop_after_seconds: None,
    }
}

const CREATED: &str = "2026-01-01T07:00:00Z";

/// Hours of the starts and the names of the skips, as `8 9 10:missed`.
fn said(decision: &Decision) -> String {
    let hour = |due: &Timestamp| due.to_string()[11..13].trim_start_matches('0').to_owned();
    let mut all: Vec<(Timestamp, String)> = decision.start.iter().map(|due| (*due, hour(due))).collect();
    all.extend(
        decision
            .skip
            .iter()
            .map(|(due, reason)| (*due, format!("{}:{}", hour(due), reason.name()))),
    );
    all.sort();
    all.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
}

#[test]
fn policies_by_lateness_status_and_what_runs() {
    use Missed::{All, Once, Skip};
    use Overlap::{Allow, Forbid, Replace};
    #[rustfmt::skip]
    let table = [
        // now, missed, overlap, paused, an instance runs -> decided
        ("2026-01-01T07:59:59Z", Once, Forbid, false, false, ""),
        ("2026-01-01T08:00:00Z", Once, Forbid, false, false, "8"),
        ("2026-01-01T08:01:00Z", Skip, Forbid, false, false, "8"),
        ("2026-01-01T08:01:01Z", Skip, Forbid, false, false, "8:missed"),
        ("2026-01-01T08:30:00Z", Once, Forbid, false, false, "8"),
        ("2026-01-01T10:30:00Z", Once, Forbid, false, false, "8:missed 9:missed 10"),
        ("2026-01-01T10:30:00Z", Skip, Forbid, false, false, "8:missed 9:missed 10:missed"),
        ("2026-01-01T10:00:30Z", Skip, Forbid, false, false, "8:missed 9:missed 10"),
        ("2026-01-01T10:30:00Z", All,  Allow,  false, false, "8 9 10"),
        ("2026-01-01T10:30:00Z", All,  Forbid, false, false, "8 9:overlap 10:overlap"),
        ("2026-01-01T10:30:00Z", All,  Replace, false, false, "8:replaced 9:replaced 10"),
        ("2026-01-01T08:00:00Z", Once, Forbid, false, true,  "8:overlap"),
        ("2026-01-01T08:00:00Z", Once, Allow,  false, true,  "8"),
        ("2026-01-01T08:00:00Z", Once, Replace, false, true,  "8"),
        ("2026-01-01T09:00:00Z", All,  Allow,  true,  false, "8:paused 9:paused"),
    ];
    for (now, missed, overlap, paused, runs, expected) in table {
        let mut schedule = tracked(cron("0 * * * *"), policies(missed, overlap), at(CREATED));
        if paused {
            schedule.schedule.status = ScheduleStatus::Paused;
        }
        let earlier = InstanceId::new();
        if runs {
            schedule.activate(earlier, at(CREATED));
        }
        let decision = decide(&schedule, at(now)).unwrap();
        assert_eq!(
            said(&decision),
            expected,
            "{now} {missed:?} {overlap:?} {paused} {runs}"
        );
        let makes_way = runs && overlap == Replace;
        assert_eq!(decision.stop, if makes_way { vec![earlier] } else { vec![] });
    }
}

#[test]
fn the_latest_is_not_run_when_it_is_more_than_an_hour_late() {
    let schedule = tracked(cron("0 8 * * *"), Policies::default(), at(CREATED));
    assert_eq!(said(&decide(&schedule, at("2026-01-01T09:00:00Z")).unwrap()), "8");
    assert_eq!(
        said(&decide(&schedule, at("2026-01-01T09:00:01Z")).unwrap()),
        "8:missed"
    );
}

#[test]
fn a_long_absence_runs_at_most_a_hundred_and_counts_the_rest() {
    let schedule = tracked(
        cron("* * * * *"),
        policies(Missed::All, Overlap::Allow),
        at("2026-01-01T00:00:00Z"),
    );
    let settled = settle(schedule, at("2026-01-02T00:00:30Z")).unwrap();
    assert_eq!(settled.decision.start.len(), 100);
    assert_eq!(settled.decision.skip.len(), 1440 - 100);
    assert_eq!(settled.tracked.schedule.skipped, 1340);
    assert_eq!(settled.tracked.schedule.recent_skips.len(), 20);
    assert_eq!(settled.tracked.schedule.next_due, Some(at("2026-01-02T00:01:00Z")));
}

#[test]
fn an_occurrence_that_would_be_stopped_already_is_skipped() {
    let mut policies = policies(Missed::All, Overlap::Allow);
    policies.stop_after_seconds = Some(1800);
    let schedule = tracked(cron("0 * * * *"), policies, at(CREATED));
    assert_eq!(
        said(&decide(&schedule, at("2026-01-01T09:10:00Z")).unwrap()),
        "8:over 9"
    );
    assert_eq!(
        stop_at(&schedule, at("2026-01-01T09:00:00Z")),
        Some(at("2026-01-01T09:30:00Z"))
    );
}

#[test]
fn a_moment_is_not_late_before_the_schedule_existed() {
    let once = When::Once {
        at: at("2026-01-01T06:30:00Z"),
    };
    let schedule = tracked(once, policies(Missed::Skip, Overlap::Forbid), at(CREATED));
    assert_eq!(said(&decide(&schedule, at(CREATED)).unwrap()), "6");
}

#[test]
fn instances_are_the_same_for_the_same_moment_only() {
    let schedule = ScheduleId::new();
    let due = at(CREATED);
    assert_eq!(instance_of(schedule, due), instance_of(schedule, due));
    assert_ne!(instance_of(schedule, due), instance_of(schedule, due.plus_millis(1)));
    assert_ne!(instance_of(schedule, due), instance_of(ScheduleId::new(), due));
}

#[test]
fn reasons_are_sentences() {
    assert_eq!(
        Reason::Missed(90_000).to_string(),
        "missed: it could only have started 90 seconds late"
    );
    assert_eq!(
        Reason::Missed(7_300_000).to_string(),
        "missed: it could only have started 2 hours late"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    /// However often and whenever one looks at the clock: each due moment is started or skipped, once, in order.
    #[test]
    fn every_due_moment_is_decided_once(
        expression in proptest::sample::select(vec!["* * * * *", "*/7 * * * *", "0 * * * *", "30 2,14 * * *", "0 0 * * *"]),
        zone in proptest::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
        missed in proptest::sample::select(vec![Missed::Skip, Missed::Once, Missed::All]),
        overlap in proptest::sample::select(vec![Overlap::Forbid, Overlap::Allow, Overlap::Replace]),
        start in 0_i64..365,
        looks in proptest::collection::vec((1_i64..7_200_000, proptest::bool::ANY), 1..40),
    ) {
        let created = at("2026-01-01T00:00:00Z").plus_millis(start * 86_400_000);
        let when = When::Cron { expression: expression.to_owned(), zone: zone.to_owned() };
        let mut schedule = tracked(when.clone(), policies(missed, overlap), created);
        let mut now = created;
        let mut decided = Vec::new();
        for (step, ends) in looks {
            now = now.plus_millis(step);
            let settled = settle(schedule, now).unwrap();
            schedule = settled.tracked;
            let mut these = settled.decision.start.clone();
            these.extend(settled.decision.skip.iter().map(|(due, _)| *due));
            these.sort();
            decided.extend(these);
            // What is on time is never missed.
            for (due, reason) in &settled.decision.skip {
                let late = now.millis_since(*due);
                proptest::prop_assert!(!matches!(reason, Reason::Missed(_)) || late > ON_TIME_MILLIS);
            }
            if ends {
                schedule.active.clear();
            }
            // Looking again at the same moment changes nothing.
            let again = decide(&schedule, now).unwrap();
            proptest::prop_assert!(again.start.is_empty() && again.skip.is_empty());
        }
        let mut expected = Vec::new();
        let mut from = created;
        while let Some(due) = occurrences::next(&when, from, 1).unwrap().first().copied().filter(|due| *due <= now) {
            expected.push(due);
            from = due;
        }
        proptest::prop_assert_eq!(decided, expected);
    }
}

use common::Timestamp;
use runtime::kafka::Brokers;

use super::*;

const NOW: Duration = Duration::from_secs(100);

fn node(engine: &str, disk: u64, memory: u64) -> Node {
    Node {
        name: "one".to_owned(),
        host: String::new(),
        address: "192.0.2.1".to_owned(),
        engine_version: engine.to_owned(),
        cpus: 2,
        load: 0.0,
        memory_total_bytes: 100,
        memory_available_bytes: memory,
        disk_total_bytes: 100,
        disk_free_bytes: disk,
        containers: 0,
        at: Timestamp::from_millis(0),
    }
}

fn judged(before: Option<&Verdict>, report: Node, silence: u64, skewed: u32) -> Option<Verdict> {
    let sight = HostSight {
        report,
        received: NOW.saturating_sub(Duration::from_secs(silence)),
        skewed,
    };
    host(before, Some(&sight), Some(Duration::ZERO), NOW)
}

#[test]
fn hosts() {
    use HealthState::{Degraded, Down, NotReady, Suspected, Up};
    for (report, silence, skewed, state) in [
        (node("28", 50, 50), 1, 0, Up),
        (node("", 50, 50), 1, 0, NotReady),
        (node("28", 9, 50), 1, 0, Degraded),
        (node("28", 50, 4), 1, 0, Degraded),
        (node("28", 50, 50), 1, SEEN - 1, Up),
        (node("28", 50, 50), 1, SEEN, Degraded),
        (node("28", 50, 50), 13, 0, Suspected),
        (node("28", 50, 50), 21, 0, Down),
    ] {
        let found = judged(None, report.clone(), silence, skewed).unwrap();
        assert_eq!(found.state, state, "{report:?} {silence} {skewed}: {found:?}");
    }
}

#[test]
fn a_host_is_well_again_only_with_some_room() {
    let full = judged(None, node("28", 9, 50), 1, 0).unwrap();
    let hardly = judged(Some(&full), node("28", 11, 50), 1, 0).unwrap();
    assert_eq!(hardly, full, "it reads the same: no news");
    let well = judged(Some(&full), node("28", 13, 50), 1, 0).unwrap();
    assert_eq!(well.state, HealthState::Up);
    assert_eq!(
        judged(Some(&well), node("28", 11, 50), 1, 0).unwrap().state,
        HealthState::Up
    );
}

#[test]
fn who_can_not_hear_blames_nobody_and_begins_anew() {
    let sight = HostSight {
        report: node("28", 50, 50),
        received: Duration::ZERO,
        skewed: 0,
    };
    assert_eq!(host(None, Some(&sight), None, NOW), None);
    let since = NOW.saturating_sub(Duration::from_secs(5));
    assert_eq!(
        host(None, Some(&sight), Some(since), NOW).unwrap().state,
        HealthState::Up
    );
    assert_eq!(
        host(None, None, Some(since), NOW),
        None,
        "it was never heard, and there was no time to"
    );
    assert_eq!(
        host(None, None, Some(Duration::ZERO), NOW).unwrap().state,
        HealthState::Down
    );
}

#[test]
fn one_bad_look_is_no_news() {
    let bad = || Some((HealthState::Down, "it does not answer".to_owned()));
    let (mut looks, mut before, mut said) = (Looks::default(), None, Vec::new());
    for finding in [None, bad(), None, bad(), bad(), bad(), bad(), None, None, None] {
        looks.take(finding);
        if let Some(verdict) = looks.judge(before.as_ref()) {
            if before.as_ref() != Some(&verdict) {
                said.push(verdict.state);
            }
            before = Some(verdict);
        }
    }
    assert_eq!(said, [HealthState::Up, HealthState::Down, HealthState::Up]);
}

#[test]
fn what_is_wrong_with_kafka_and_mongodb() {
    use HealthState::{Degraded, Down};
    let brokers = |answering, without_leader, lacking_copies| {
        Ok(Brokers {
            answering,
            without_leader,
            lacking_copies,
        })
    };
    for (found, state) in [
        (brokers(3, 0, 0), None),
        (brokers(2, 0, 4), Some(Degraded)),
        (brokers(3, 0, 4), Some(Degraded)),
        (brokers(2, 1, 4), Some(Down)),
        (Err("timed out".to_owned()), Some(Down)),
    ] {
        assert_eq!(kafka(found.clone(), 3).map(|(state, _)| state), state, "{found:?}");
    }
    assert_eq!(mongodb(Ok(Duration::from_millis(5))), None);
    assert_eq!(mongodb(Ok(Duration::from_secs(2))).unwrap().0, Degraded);
    assert_eq!(mongodb(Err("refused".to_owned())).unwrap().0, Down);
}

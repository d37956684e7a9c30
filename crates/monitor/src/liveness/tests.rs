use super::*;
use common::messages::health::ServiceCopy;
use common::names::ServiceName;

pub(crate) fn copy() -> ServiceCopy {
    ServiceCopy {
        service: ServiceName::Scheduler,
        host: "one".to_owned(),
    }
}

pub(crate) fn beat(copy: ServiceCopy, pid: u32, ready: bool) -> Heartbeat {
    Heartbeat::Beat {
        copy,
        version: "0.1.0".to_owned(),
        pid,
        started: Timestamp::from_millis(i64::from(pid)),
        ready,
        waiting_for: if ready {
            vec![]
        } else {
            vec!["mongodb: it does not answer".to_owned()]
        },
        rss_bytes: 0,
        dead_letters: 0,
        lag: 0,
        at: Timestamp::from_millis(0),
    }
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Listens to a script of (second, heartbeat) from 0 s on and judges twice a second until the end: verdicts as they change.
fn listen(before: Option<HealthState>, script: &[(f64, Heartbeat)], until: f64) -> Vec<(f64, HealthState)> {
    let mut verdict = before.map(|state| Verdict::new(state, ""));
    let mut heard: Option<Heard> = None;
    let mut changes = Vec::new();
    let mut script = script.iter().peekable();
    for step in 0..=(until * 2.0) as u32 {
        let now = f64::from(step) / 2.0;
        while let Some((at, heartbeat)) = script.next_if(|(at, _)| *at <= now) {
            heard = Some(Heard::after(heard.as_ref(), heartbeat, secs(*at)));
        }
        let Some(new) = judge(verdict.as_ref(), heard.as_ref(), Some(secs(0.0)), None, secs(now)) else {
            continue;
        };
        if verdict.as_ref().map(|old| old.state) != Some(new.state) {
            changes.push((now, new.state));
        }
        verdict = Some(new);
    }
    changes
}

fn beats(from: f64, to: f64, pid: u32, ready: bool) -> Vec<(f64, Heartbeat)> {
    let count = ((to - from) / 2.0) as u32;
    (0..=count)
        .map(|beat_no| (from + 2.0 * f64::from(beat_no), beat(copy(), pid, ready)))
        .collect()
}

#[test]
fn scripts() {
    use HealthState::{Down, NotReady, Stopped, Suspected, Up};
    let farewell = |at| {
        (
            at,
            Heartbeat::Farewell {
                copy: copy(),
                at: Timestamp::from_millis(0),
            },
        )
    };
    let gap = |from, to| [beats(0.5, from, 1, true), beats(to, to + 10.0, 1, true)].concat();
    // It beats; then it is killed after 10.5 s: down after at most 8.5 s.
    assert_eq!(
        listen(None, &beats(0.5, 10.5, 1, true), 30.0),
        [(0.5, Up), (15.0, Suspected), (19.0, Down)]
    );
    // A lost beat is no news.
    assert_eq!(listen(None, &gap(10.5, 14.5), 20.0), [(0.5, Up)]);
    // A late one makes it suspected, and two beats in a row well again.
    assert_eq!(
        listen(None, &gap(10.5, 16.0), 24.0),
        [(0.5, Up), (15.0, Suspected), (18.0, Up)]
    );
    // A new process after a crash is told at once, not ready and then ready.
    let reborn = [
        beats(0.5, 10.5, 1, true),
        beats(22.0, 22.0, 2, false),
        beats(24.0, 30.0, 2, true),
    ]
    .concat();
    assert_eq!(
        listen(None, &reborn, 30.0),
        [(0.5, Up), (15.0, Suspected), (19.0, Down), (22.0, NotReady), (24.0, Up)]
    );
    // Shut down on purpose: stopped, and never down for that.
    let stopped = [beats(0.5, 4.5, 1, true), vec![farewell(5.0)]].concat();
    assert_eq!(listen(None, &stopped, 60.0), [(0.5, Up), (5.0, Stopped)]);
    let restarted = [stopped, beats(9.0, 13.0, 2, true)].concat();
    assert_eq!(listen(None, &restarted, 13.0), [(0.5, Up), (5.0, Stopped), (9.0, Up)]);
    // One that the store knows and that does not come back after a restart of the monitor.
    assert_eq!(listen(Some(Up), &[], 20.0), [(8.5, Down)]);
    assert_eq!(listen(Some(Down), &[], 20.0), []);
    assert_eq!(listen(Some(Stopped), &[], 20.0), []);
    // One beat that happened to see a hiccup is no news, two are.
    let hiccup = [
        beats(0.5, 4.5, 1, true),
        beats(6.5, 6.5, 1, false),
        beats(8.5, 10.5, 1, true),
    ]
    .concat();
    assert_eq!(listen(None, &hiccup, 12.0), [(0.5, Up)]);
    let outage = [
        beats(0.5, 4.5, 1, true),
        beats(6.5, 8.5, 1, false),
        beats(10.5, 12.5, 1, true),
    ]
    .concat();
    assert_eq!(listen(None, &outage, 12.0), [(0.5, Up), (8.5, NotReady), (10.5, Up)]);
}

#[test]
fn causes_are_said() {
    let heard = Heard::after(None, &beat(copy(), 7, false), secs(1.0));
    let said = |now| {
        judge(None, Some(&heard), Some(secs(0.0)), None, secs(now))
            .unwrap()
            .cause
    };
    assert!(
        said(1.0).starts_with("it waits for mongodb: it does not answer (process 7 of "),
        "{}",
        said(1.0)
    );
    assert!(said(9.5).contains("no heartbeat for more than 8 s"), "{}", said(9.5));
    assert!(said(9.5).contains("before that it waited for mongodb"), "{}", said(9.5));
    assert_eq!(said(9.5), said(90.0), "a verdict that stays the same reads the same");
}

#[test]
fn a_host_without_engine_or_room_is_said_of_its_agent() {
    let heard = Heard::after(None, &beat(copy(), 7, true), secs(1.0));
    let mut node: Node = serde_json::from_value(serde_json::json!({
        "name": "one", "address": "10.0.0.1", "engine_version": "", "cpus": 2, "load": 0.1, "memory_total_bytes": 100,
        "memory_available_bytes": 50, "disk_total_bytes": 100, "disk_free_bytes": 50, "containers": 0, "at": "2026-01-01T00:00:00Z"
    }))
    .unwrap();
    let said = |node: &Node, at| judge(None, Some(&heard), Some(secs(0.0)), Some((node, secs(at))), secs(2.0)).unwrap();
    assert_eq!(said(&node, 1.0).state, HealthState::NotReady);
    node.engine_version = "20.10.24".to_owned();
    assert!(said(&node, 1.0).cause.starts_with("ready (process"));
    node.disk_free_bytes = 2;
    assert_eq!(said(&node, 1.0).state, HealthState::Up);
    assert!(said(&node, 1.0).cause.contains("one has hardly any disk left"));
}

proptest::proptest! {
    /// Whatever is heard: silence of more than 8 s of one that did not say farewell is down, speech is never down, and nothing is
    /// said by a monitor that hears nothing.
    #[test]
    fn silence_and_speech(
        gaps in proptest::collection::vec((1_u64..20_000, proptest::bool::ANY, 1_u32..4), 1..30),
        after in 0_u64..30_000,
        heard_since in 0_u64..20_000,
    ) {
        let mut now = Duration::ZERO;
        let mut heard: Option<Heard> = None;
        let mut verdict: Option<Verdict> = None;
        let hearing = Some(Duration::ZERO);
        for (gap, ready, pid) in gaps {
            now += Duration::from_millis(gap);
            // The judge looks before and after each beat.
            if let Some(new) = judge(verdict.as_ref(), heard.as_ref(), hearing, None, now) { verdict = Some(new) }
            heard = Some(Heard::after(heard.as_ref(), &beat(copy(), pid, ready), now));
            if let Some(new) = judge(verdict.as_ref(), heard.as_ref(), hearing, None, now) { verdict = Some(new) }
            proptest::prop_assert_ne!(verdict.as_ref().map(|verdict| verdict.state), Some(HealthState::Down));
        }
        let later = now + Duration::from_millis(after);
        let judged = judge(verdict.as_ref(), heard.as_ref(), hearing, None, later).or_else(|| verdict.clone()).unwrap();
        proptest::prop_assert_eq!(judged.state == HealthState::Down, later - now > DOWN_AFTER);
        proptest::prop_assert_eq!(judge(verdict.as_ref(), heard.as_ref(), None, None, later), None);
        // One that begins to hear later gives everyone the full time again.
        let since = now + Duration::from_millis(heard_since);
        let fresh = judge(verdict.as_ref(), heard.as_ref(), Some(since), None, later.max(since));
        if later.saturating_sub(since) <= DOWN_AFTER {
            proptest::prop_assert_ne!(fresh.map(|verdict| verdict.state), Some(HealthState::Down));
        }
    }
}

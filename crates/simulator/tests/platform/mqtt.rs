//! MQTT connectors.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::json;
use simulator::journal::{self, Entry};
use simulator::{Config, Simulation, Stats};

use crate::endpoint::{Behaviour, Endpoint};

const CONNECTOR: &str = "00000000-0000-0000-0000-00000000000c";
const FAN: &str = "00000000-0000-0000-0000-0000000000fa";

fn config(address: impl std::fmt::Display, sensors: usize, every_ms: u64, count: Option<u64>) -> Config {
    let sensors: Vec<_> = (1..=sensors)
        .map(|number| {
            json!({
                "id": format!("00000000-0000-0000-0001-{number:012}"), "property": "temperature", "every_ms": every_ms,
                "generator": {"kind": "sine", "mean": 20.5, "amplitude": 3.0, "period_seconds": 60.0, "noise": 0.2}
            })
        })
        .collect();
    let config = json!({
        "servers": {"mqtt": address.to_string()}, "seed": 7, "count": count,
        "connectors": [{
            "id": CONNECTOR, "secret": "secret", "protocol": "mqtt", "sensors": sensors,
            "devices": [{"id": FAN, "commands": ["switch"], "state": {"on": false}}]
        }]
    });
    Config::parse(&config.to_string()).unwrap()
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("took longer than a minute")
}

/// Runs to the end and checks what always holds; returns what the endpoint saw.
async fn run(behaviour: Behaviour, sensors: usize, count: u64) -> (Endpoint, Stats) {
    let endpoint = Endpoint::start(behaviour).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let simulation = Simulation::start(config(endpoint.address, sensors, 1, Some(count)), Some(&path))
        .await
        .unwrap();
    within(simulation.finished()).await;
    let stats = within(simulation.stop(Duration::from_secs(5))).await.unwrap();

    let journalled = journal::readings(&path).unwrap();
    let keys: HashSet<(String, u64)> = journalled
        .iter()
        .map(|reading| (reading.sensor.to_string(), reading.seq))
        .collect();
    assert_eq!(
        journalled.len(),
        sensors * usize::try_from(count).unwrap(),
        "every reading is journalled"
    );
    assert_eq!(keys.len(), journalled.len(), "and none twice");
    let seen = endpoint.seen.lock().unwrap();
    assert!(
        keys.is_subset(&seen.acknowledged),
        "only what was acknowledged is journalled"
    );
    // Without repeats, each sensor's readings arrived in order.
    let mut next: HashMap<&str, u64> = HashMap::new();
    for (sensor, seq) in &seen.arrived {
        let next = next.entry(sensor).or_default();
        assert!(*seq <= *next, "{sensor}: {seq} came before {next}");
        *next = (*next).max(seq + 1);
    }
    drop(seen);
    assert_eq!(
        (stats.acknowledged, stats.in_flight),
        (u64::try_from(sensors).unwrap() * count, 0)
    );
    (endpoint, stats)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_acknowledged_and_journalled_once() {
    let began = Instant::now();
    let (endpoint, stats) = run(Behaviour::default(), 10, 500).await;
    assert_eq!(stats.sent, 5000);
    assert_eq!(endpoint.seen.lock().unwrap().connections, 1);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "1000 readings a second are easy: {:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connections_lose_nothing() {
    let (endpoint, stats) = run(
        Behaviour {
            drop_after: Some(700),
            ..Behaviour::default()
        },
        5,
        600,
    )
    .await;
    assert!(stats.disconnects >= 4 && stats.sent > 3000, "{stats}");
    assert!(endpoint.seen.lock().unwrap().connections >= 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_may_come_in_any_order() {
    run(
        Behaviour {
            reversed: true,
            ..Behaviour::default()
        },
        5,
        400,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_carried_out_once_and_answered_as_often_as_it_comes() {
    let command = r#"{"id":"00000000-0000-0000-0000-0000000000c1","command":"switch","arguments":{"on":true},"expires":"2999-01-01T00:00:00Z"}"#;
    let endpoint = Endpoint::start(Behaviour {
        command: Some(command),
        ..Behaviour::default()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let simulation = Simulation::start(config(endpoint.address, 1, 5, None), Some(&path))
        .await
        .unwrap();
    within(async {
        while endpoint.seen.lock().unwrap().answers.len() < 2 || endpoint.seen.lock().unwrap().command_acks < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(
        simulation.device_state(FAN.parse().unwrap()).unwrap()["on"],
        json!(true)
    );
    let stats = within(simulation.stop(Duration::from_secs(5))).await.unwrap();
    assert_eq!(stats.commands, 1);
    for (topic, answer) in &endpoint.seen.lock().unwrap().answers {
        assert_eq!(
            *topic,
            format!("v1/devices/{FAN}/commands/00000000-0000-0000-0000-0000000000c1/state")
        );
        assert_eq!(*answer, json!({"ok": true, "state": {"on": true}}));
    }
    let entries = journal::read(&path).unwrap();
    let received = |repeat_wanted| {
        entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Command { repeat, .. } if *repeat == repeat_wanted))
            .count()
    };
    assert_eq!((received(false), received(true)), (1, 1));
    assert_eq!(
        entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Answered { .. }))
            .count(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_it_gives_up_at_the_deadline_and_says_what_is_left() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let simulation = Simulation::start(config(address, 2, 1, Some(50)), None).await.unwrap();
    within(async {
        while simulation.stats().in_flight < 100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let stats = within(simulation.stop(Duration::from_millis(50))).await.unwrap();
    assert_eq!((stats.in_flight, stats.acknowledged), (100, 0));
}

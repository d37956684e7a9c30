//! HTTP connectors.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use simulator::journal::{self, Entry};
use simulator::{Config, Simulation};

const CONNECTOR: &str = "00000000-0000-0000-0000-00000000000c";
const FAN: &str = "00000000-0000-0000-0000-0000000000fa";
const COMMAND: &str = "00000000-0000-0000-0000-0000000000c1";

#[derive(Default)]
struct Seen {
    requests: usize,
    readings: HashMap<String, Vec<u64>>,
    answers: Vec<Value>,
    commands_asked: usize,
}

type Shared = Arc<Mutex<Seen>>;

async fn readings(
    State(seen): State<Shared>,
    Path(sensor): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Vec<Value>>,
) -> (StatusCode, Json<Value>) {
    assert!(headers["authorization"].to_str().unwrap().starts_with("Basic "));
    let mut seen = seen.lock().unwrap();
    seen.requests += 1;
    let seqs = body.iter().map(|reading| reading["seq"].as_u64().unwrap());
    if sensor.ends_with('9') {
        return (StatusCode::BAD_REQUEST, Json(json!({"title": "out of range"})));
    }
    // Every third request is stored but not answered for, every fourth is turned away.
    match seen.requests % 12 {
        4 | 8 => return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({}))),
        3 | 6 | 9 => {
            let seqs: Vec<u64> = seqs.collect();
            seen.readings.entry(sensor).or_default().extend(seqs);
            return (StatusCode::BAD_GATEWAY, Json(json!({})));
        }
        _ => {}
    }
    let accepted = body.len();
    let seqs: Vec<u64> = seqs.collect();
    seen.readings.entry(sensor).or_default().extend(seqs);
    (StatusCode::ACCEPTED, Json(json!({"accepted": accepted})))
}

async fn commands(State(seen): State<Shared>) -> Json<Value> {
    let again = {
        let mut seen = seen.lock().unwrap();
        seen.commands_asked += 1;
        seen.commands_asked <= 2
    };
    if again {
        return Json(json!([{"id": COMMAND, "command": "switch", "arguments": {"on": true}}]));
    }
    std::future::pending().await
}

async fn state(State(seen): State<Shared>, Json(body): Json<Value>) -> StatusCode {
    seen.lock().unwrap().answers.push(body);
    StatusCode::ACCEPTED
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_are_repeated_until_accepted_and_commands_are_answered() {
    let seen = Shared::default();
    let router = Router::new()
        .route("/v1/sensors/{sensor}/readings", post(readings))
        .route("/v1/devices/{device}/commands", get(commands))
        .route("/v1/devices/{device}/commands/{command}/state", post(state))
        .with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let sensor = |number: u32| {
        json!({"id": format!("00000000-0000-0000-0001-{number:012}"), "property": "temperature", "every_ms": 2,
               "generator": {"kind": "random_walk", "start": 20.0, "step": 0.1, "minimum": 15.0, "maximum": 25.0}})
    };
    let config = json!({
        "servers": {"http": format!("http://{address}")}, "count": 300,
        "connectors": [{"id": CONNECTOR, "secret": "secret", "protocol": "http",
            "sensors": [sensor(1), sensor(2), sensor(9)], "devices": [{"id": FAN}]}]
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let simulation = Simulation::start(Config::parse(&config.to_string()).unwrap(), Some(&path))
        .await
        .unwrap();
    let minute = Duration::from_secs(60);
    tokio::time::timeout(minute, simulation.finished()).await.unwrap();
    tokio::time::timeout(minute, async {
        while seen.lock().unwrap().answers.len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let stats = simulation.stop(Duration::from_secs(5)).await.unwrap();
    server.abort();

    assert_eq!(
        (stats.acknowledged, stats.rejected, stats.in_flight, stats.commands),
        (600, 300, 0, 1)
    );
    let entries = journal::read(&path).unwrap();
    assert_eq!(
        entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Rejected { .. }))
            .count(),
        300
    );
    for number in [1, 2] {
        let sensor = format!("00000000-0000-0000-0001-{number:012}");
        let journalled: Vec<u64> = journal::readings(&path)
            .unwrap()
            .iter()
            .filter(|reading| reading.sensor.to_string() == sensor)
            .map(|reading| reading.seq)
            .collect();
        assert_eq!(journalled, (0..300).collect::<Vec<_>>());
        let mut stored = seen.lock().unwrap().readings[&sensor].clone();
        stored.sort_unstable();
        stored.dedup();
        assert_eq!(stored, journalled);
    }
    assert_eq!(
        seen.lock().unwrap().answers,
        [
            json!({"ok": true, "state": {"on": true}}),
            json!({"ok": true, "state": {"on": true}})
        ]
    );
}

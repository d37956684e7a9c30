use axum::http::Request;
use common::messages::action::{DeviceCommand, DeviceEvent};
use common::messages::reading::{Quarantine, SensorData};
use runtime::memory::MemoryBus;
use tower::ServiceExt;

use super::*;
use crate::ingest::{self, fixtures};

struct Platform {
    memory: Arc<MemoryBus>,
    commands: Arc<Commands>,
    router: Router,
}

fn platform() -> Platform {
    let (memory, bus) = MemoryBus::bus("sensor-manager");
    let ingest = ingest::shared(bus, fixtures::directory());
    let commands = Commands::new(ingest.clone());
    commands.caught_up();
    let router = router(ingest, commands.clone(), CancellationToken::new());
    Platform {
        memory,
        commands,
        router,
    }
}

impl Platform {
    async fn ask(&self, method: &str, path: &str, body: &str) -> (StatusCode, HeaderMap, serde_json::Value) {
        self.ask_as(&format!("{}:secret", fixtures::connector()), method, path, body)
            .await
    }

    async fn ask_as(
        &self,
        who: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> (StatusCode, HeaderMap, serde_json::Value) {
        let encoded = base64::engine::general_purpose::STANDARD.encode(who);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Basic {encoded}"))
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (
            parts.status,
            parts.headers,
            serde_json::from_slice(&bytes).unwrap_or_default(),
        )
    }
}

fn readings_of(sensor: SensorId) -> String {
    format!("/v1/sensors/{sensor}/readings")
}

#[tokio::test]
async fn readings_are_accepted_when_they_are_in_kafka() {
    let platform = platform();
    let path = readings_of(fixtures::sensor());
    for (body, count) in [("21.5", 1), (r#"[{"value": 1, "boot": 1, "seq": 0}, 2]"#, 2)] {
        let (status, _, answer) = platform.ask("POST", &path, body).await;
        assert_eq!((status, answer), (StatusCode::ACCEPTED, json!({"accepted": count})));
    }
    assert_eq!(platform.memory.messages::<SensorData>().len(), 3);
    let (status, _, answer) = platform.ask("POST", &path, "[1, 99]").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!((&answer["accepted"], &answer["refused"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn problems_say_what_is_allowed_and_are_quarantined() {
    let platform = platform();
    for (path, body, wanted, part) in [
        (
            readings_of(fixtures::sensor()),
            "warm",
            StatusCode::BAD_REQUEST,
            "allowed are a number",
        ),
        (
            readings_of(fixtures::sensor()),
            "99",
            StatusCode::BAD_REQUEST,
            "-40 to 85 Cel",
        ),
        (
            readings_of(fixtures::foreign_sensor()),
            "1",
            StatusCode::FORBIDDEN,
            "carries no sensor",
        ),
    ] {
        let (status, headers, answer) = platform.ask("POST", &path, body).await;
        assert_eq!(status, wanted);
        assert_eq!(headers["content-type"], "application/problem+json");
        assert!(answer["detail"].as_str().unwrap().contains(part), "{answer}");
    }
    assert_eq!(platform.memory.messages::<Quarantine>().len(), 3);
    for (method, path, status) in [
        ("POST", "/v1/sensors/x/readings", StatusCode::NOT_FOUND),
        ("GET", "/", StatusCode::NOT_FOUND),
        ("PUT", &*readings_of(fixtures::sensor()), StatusCode::METHOD_NOT_ALLOWED),
    ] {
        assert_eq!(platform.ask(method, path, "1").await.0, status);
    }
    let large = "1".repeat(MAX_BODY + 1);
    let (status, ..) = platform.ask("POST", &readings_of(fixtures::sensor()), &large).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn whoever_is_not_known_stays_out() {
    let platform = platform();
    for who in ["x:secret", &format!("{}:wrong", fixtures::connector()), "nothing"] {
        let (status, headers, _) = platform
            .ask_as(who, "POST", &readings_of(fixtures::sensor()), "1")
            .await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(headers.contains_key("www-authenticate"));
    }
    assert!(platform.memory.records().is_empty());
}

#[tokio::test]
async fn nothing_is_accepted_while_kafka_does_not_confirm() {
    let platform = platform();
    platform.memory.set_down(true);
    for body in ["1", "warm"] {
        let (status, headers, _) = platform.ask("POST", &readings_of(fixtures::sensor()), body).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(headers.contains_key("retry-after"));
    }
}

fn execute(name: &str) -> DeviceCommand {
    DeviceCommand::Execute {
        id: ActionId::derive(&[name]),
        device: fixtures::device(),
        command: "switch".to_owned(),
        arguments: serde_json::from_value(json!({"on": true})).unwrap(),
        expires: Timestamp::now().plus_millis(60_000),
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_gets_commands_until_they_are_reported() {
    let platform = platform();
    let path = format!("/v1/devices/{}/commands", fixtures::device());
    assert_eq!(platform.ask("GET", &path, "").await.2, json!([]));
    let long = format!("{path}?wait=25");
    let poll = platform.ask("GET", &long, "");
    let later = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        platform.commands.apply(execute("a"), Timestamp::now());
    };
    let ((status, _, list), ()) = tokio::join!(poll, later);
    assert_eq!(
        (status, &list[0]["command"], &list[0]["arguments"]),
        (StatusCode::OK, &json!("switch"), &json!({"on": true}))
    );
    assert_eq!(
        platform.ask("GET", &long, "").await.2,
        list,
        "again until it is reported"
    );
    let state = format!("{path}/{}/state", ActionId::derive(&["a"]));
    assert_eq!(platform.ask("POST", &state, "{}").await.0, StatusCode::BAD_REQUEST);
    for _ in 0..2 {
        assert_eq!(
            platform.ask("POST", &state, r#"{"ok": true}"#).await.0,
            StatusCode::ACCEPTED
        );
    }
    assert_eq!(platform.ask("GET", &path, "").await.2, json!([]));
    let events = platform.memory.distinct::<DeviceEvent>();
    assert!(
        matches!(events[..], [DeviceEvent::Sent { .. }, DeviceEvent::Acknowledged { .. }]),
        "{events:?}"
    );
}

#[tokio::test]
async fn another_connectors_device_is_closed() {
    let platform = platform();
    let path = format!("/v1/devices/{}/commands", fixtures::foreign_device());
    assert_eq!(platform.ask("GET", &path, "").await.0, StatusCode::FORBIDDEN);
    let state = format!("{path}/{}/state", ActionId::new());
    assert_eq!(
        platform.ask("POST", &state, r#"{"ok": true}"#).await.0,
        StatusCode::FORBIDDEN
    );
    let own = format!("/v1/devices/{}/commands?wait=x", fixtures::device());
    assert_eq!(platform.ask("GET", &own, "").await.0, StatusCode::BAD_REQUEST);
}

//! What people do, route after route.

use axum::http::StatusCode;
use common::messages::action::ActionRequest;
use common::messages::log::AuditEntry;
use common::messages::operation::{OperationEvent, Refusal};
use common::messages::registry::RegistryCommand;
use common::messages::schedule::ScheduleCommand;
use common::messages::user::Role;
use common::{OperationId, Timestamp};
use serde_json::json;

use super::rig::{Ask, HOST_TOKEN, PASSWORD, Rig};
use super::world::World;

fn sign_in<'a>(name: &str, password: &str) -> Ask<'a> {
    Ask {
        token: None,
        ..Ask::new("POST", "/api/v1/session", "").body(json!({ "name": name, "password": password }))
    }
}

#[tokio::test]
async fn the_one_time_password_must_be_changed_and_other_sessions_end() {
    let rig = Rig::new().await;
    assert!(rig.app.accounts.ensure_first_admin("one-time-password").await.unwrap());
    rig.settle_users();
    let pending = async || {
        let ask = Ask {
            token: None,
            ..Ask::new("GET", "/api/v1/session/first", "")
        };
        rig.send(ask).await.body["pending"].clone()
    };
    assert_eq!(pending().await, true);
    let answer = rig.send(sign_in("admin", "one-time-password")).await;
    assert_eq!(answer.body["password_change_required"], true);
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"),
        "{cookie}"
    );
    let session = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    let other = rig.send(sign_in("admin", "one-time-password")).await;
    let other = other.headers["set-cookie"]
        .to_str()
        .unwrap()
        .split(['=', ';'])
        .nth(1)
        .unwrap()
        .to_owned();

    let change = |new: &str| json!({ "current": "one-time-password", "new": new });
    let ask = Ask::new("POST", "/api/v1/session/password", &session);
    assert_eq!(rig.send(ask.body(change("short"))).await.status, 422);
    let ask = Ask::new("POST", "/api/v1/session/password", &session);
    assert_eq!(rig.send(ask.body(change(PASSWORD))).await.status, 204);
    assert_eq!(pending().await, false);
    assert_eq!(rig.send(Ask::new("GET", "/api/v1/users", &session)).await.status, 200);
    assert_eq!(rig.send(Ask::new("GET", "/api/v1/users", &other)).await.status, 401);
    assert_eq!(
        rig.send(Ask::new("DELETE", "/api/v1/session", &session)).await.status,
        204
    );
    assert_eq!(rig.send(Ask::new("GET", "/api/v1/session", &session)).await.status, 401);
    assert_eq!(rig.send(sign_in("admin", "one-time-password")).await.status, 401);
}

#[tokio::test]
async fn the_token_of_this_host_opens_the_door_from_this_host_only() {
    let rig = Rig::new().await;
    assert!(rig.app.accounts.ensure_first_admin("one-time-password").await.unwrap());
    rig.settle_users();
    let bearer = format!("Bearer {HOST_TOKEN}");
    for (header, peer, expected) in [
        (bearer.as_str(), [127, 0, 0, 1], 200),
        (bearer.as_str(), [192, 0, 2, 7], 401),
        ("Bearer another token", [127, 0, 0, 1], 401),
    ] {
        let headers = [("authorization", header)];
        let ask = Ask {
            token: None,
            peer,
            ..Ask::new("GET", "/api/v1/users", "").headers(&headers)
        };
        assert_eq!(rig.send(ask).await.status, expected, "{header} from {peer:?}");
    }
}

#[tokio::test]
async fn guessing_is_slowed_down_whether_or_not_there_is_such_a_user() {
    let rig = Rig::new().await;
    for name in ["admin", "nobody"] {
        let mut answers = Vec::new();
        for _ in 0..12 {
            answers.push(rig.send(sign_in(name, "guess")).await);
        }
        assert_eq!(answers[0].status, 401);
        assert_eq!(answers[0].text("detail"), "the name or the password is wrong");
        assert_eq!(answers[11].status, 429);
        assert!(answers[11].headers.contains_key("retry-after"));
    }
}

#[tokio::test]
async fn a_retry_with_the_same_key_is_the_same_thing() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    let owners = rig.play_owners();
    let olga = &world.sessions["olga"];
    let post = || {
        Ask::new("POST", "/api/v1/connectors", olga)
            .body(json!({ "name": "Board 2", "location": world.lab }))
            .headers(&[("idempotency-key", "k1")])
    };
    let (first, again) = (rig.send(post()).await, rig.send(post()).await);
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.text("id"), again.text("id"));
    let secret = first.body["credentials"]["secret"].as_str().unwrap();
    assert!(again.body["credentials"]["secret"].is_null(), "the secret is told once");
    let commands = rig.memory.messages::<RegistryCommand>();
    assert_eq!(commands.len(), 1);
    assert!(
        !format!("{:?}", rig.memory.records()).contains(secret),
        "only its hash travels"
    );
    owners.abort();
}

#[tokio::test]
async fn how_a_connector_signs_in_can_be_read_at_any_time_but_for_its_secret() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    let olga = &world.sessions["olga"];
    let path = format!("/api/v1/connectors/{}", world.connector);
    let one = rig.send(Ask::new("GET", &path, olga)).await;
    let access = &one.body["access"];
    assert_eq!(access["username"], world.connector.to_string());
    assert_eq!(access["mqtt"], json!({ "host": "iot.example", "port": 1883 }));
    assert_eq!(access["http"], json!({ "host": "iot.example", "port": 8082 }));
    assert!(access.get("secret").is_none());
    let list = rig.send(Ask::new("GET", "/api/v1/connectors", olga)).await;
    assert_eq!(list.body["items"][0], one.body);
}

#[tokio::test]
async fn changes_meet_the_version_that_was_seen() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    let owners = rig.play_owners();
    let path = format!("/api/v1/sensors/{}", world.sensor);
    let olga = &world.sessions["olga"];
    let seen = rig.send(Ask::new("GET", &path, olga)).await;
    assert_eq!(seen.headers["etag"], "\"1\"");
    let change = |name: &str, etag| (json!({ "name": name }), [("if-match", etag)]);
    let (body, headers) = change("Lab south", "\"1\"");
    let changed = rig
        .send(Ask::new("PATCH", &path, olga).body(body).headers(&headers))
        .await;
    assert_eq!((changed.status, changed.text("name")), (StatusCode::OK, "Lab south"));
    let (body, headers) = change("Lab east", "\"1\"");
    let late = rig
        .send(Ask::new("PATCH", &path, olga).body(body).headers(&headers))
        .await;
    assert_eq!(
        (late.status, late.text("type")),
        (StatusCode::PRECONDITION_FAILED, "changed-meanwhile")
    );
    let gone = rig.send(Ask::new("DELETE", &path, olga)).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(rig.send(Ask::new("GET", &path, olga)).await.status, 404);
    let audit = rig.memory.messages::<AuditEntry>();
    let subjects: Vec<String> = audit
        .iter()
        .map(
            |AuditEntry::Changed {
                 actor_name,
                 action,
                 subject,
                 status,
                 ..
             }| format!("{actor_name} {action} {subject} {status}"),
        )
        .collect();
    assert_eq!(
        subjects,
        [
            "olga PATCH /api/v1/sensors/{id} sensor Lab north 200",
            "olga PATCH /api/v1/sensors/{id} sensor Lab south 412",
            "olga DELETE /api/v1/sensors/{id} sensor Lab south 204",
        ]
    );
    owners.abort();
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_longer_can_be_followed_by_who_began_it() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    let eva = &world.sessions["eva"];
    let path = format!("/api/v1/instances/{}/stop", world.instance);
    let answer = rig.send(Ask::new("POST", &path, eva)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let follow = answer.text("follow").to_owned();
    assert_eq!(answer.headers["location"], *follow);
    let operation = rig.send(Ask::new("GET", &follow, eva)).await;
    assert_eq!(
        (operation.text("state"), operation.text("what")),
        ("pending", "stop Lab comfort")
    );
    assert_eq!(
        rig.send(Ask::new("GET", &follow, &world.sessions["dora"])).await.status,
        404
    );
    let id: OperationId = answer.text("operation").parse().unwrap();
    let refused = OperationEvent::Refused {
        id,
        reason: Refusal::Conflict,
        detail: "it is over already".to_owned(),
    };
    rig.app.operations.fold(&refused, Timestamp::now());
    let operation = rig.send(Ask::new("GET", &follow, eva)).await;
    assert_eq!(
        (operation.text("state"), operation.text("detail")),
        ("refused", "it is over already")
    );
}

#[tokio::test]
async fn a_schedule_takes_the_newest_ready_version_and_defaults() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    let owners = rig.play_owners();
    let eva = &world.sessions["eva"];
    let post = |extra: serde_json::Value| {
        let mut body = json!({ "application": "room-comfort", "location": world.lab, "when": { "kind": "now" } });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Ask::new("POST", "/api/v1/schedules", eva).body(body)
    };
    let made = rig.send(post(json!({}))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    assert_eq!(made.text("name"), "Room comfort, Lab");
    assert_eq!(made.body["parameters"], json!({ "threshold": 24.0 }));
    assert_eq!(
        rig.send(Ask::new("GET", made.headers["location"].to_str().unwrap(), eva))
            .await
            .status,
        200
    );
    let commands = rig.memory.messages::<ScheduleCommand>();
    assert!(
        matches!(&commands[..], [ScheduleCommand::Create { spec, .. }] if spec.location_path == "Building A / Lab")
    );
    let table = [
        (
            json!({ "parameters": { "threshold": 101 } }),
            422,
            "parameters.threshold",
        ),
        (
            json!({ "parameters": { "treshold": 1 } }),
            422,
            "did you mean `threshold`",
        ),
        (
            json!({ "when": { "kind": "cron", "expression": "61 * * * *", "zone": "Europe/Berlin" } }),
            422,
            "when",
        ),
        (json!({ "version": "2.0.0" }), 404, "version"),
        (json!({ "location": uuid::Uuid::nil() }), 404, "location"),
        (json!({ "application": "secret" }), 404, "application"),
        (json!({ "colour": "red" }), 422, "unknown field `colour`"),
    ];
    for (extra, status, word) in table {
        let answer = rig.send(post(extra.clone())).await;
        assert_eq!(answer.status.as_u16(), status, "{extra} {:?}", answer.body);
        assert!(answer.text("detail").contains(word), "{extra} {:?}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    owners.abort();
}

#[tokio::test(start_paused = true)]
async fn a_command_for_a_device_is_checked_against_its_type() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    let path = format!("/api/v1/devices/{}/commands", world.device);
    let post = |body| Ask::new("POST", &path, &world.sessions["eva"]).body(body);
    let wrong = rig.send(post(json!({ "command": "swich" }))).await;
    assert!(
        wrong.text("detail").contains("did you mean `switch`"),
        "{:?}",
        wrong.body
    );
    let wrong = rig
        .send(post(json!({ "command": "switch", "arguments": { "on": 1 } })))
        .await;
    assert_eq!(wrong.body["errors"][0]["path"], "arguments.on");
    assert!(rig.memory.messages::<ActionRequest>().is_empty());
    let right = rig
        .send(post(json!({ "command": "switch", "arguments": { "on": true } })))
        .await;
    assert_eq!(right.status, StatusCode::ACCEPTED);
    assert_eq!(rig.memory.messages::<ActionRequest>().len(), 1);
}

#[tokio::test]
async fn bodies_that_clients_see() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    let get = async |who: &str, path: String| rig.send(Ask::new("GET", &path, &world.sessions[who])).await.body;
    insta::assert_json_snapshot!("locations", get("olga", "/api/v1/locations".to_owned()).await);
    insta::assert_json_snapshot!("sensor", get("eva", format!("/api/v1/sensors/{}", world.sensor)).await);
    insta::assert_json_snapshot!("applications", get("eva", "/api/v1/applications".to_owned()).await);
    insta::assert_json_snapshot!(
        "instance",
        get("eva", format!("/api/v1/instances/{}", world.instance)).await
    );
    insta::assert_json_snapshot!(
        "instance_developer",
        get("dora", format!("/api/v1/instances/{}", world.instance)).await
    );
    insta::assert_json_snapshot!(
        "match",
        get(
            "eva",
            format!("/api/v1/applications/room-comfort/match?location={}", world.lab)
        )
        .await
    );
    insta::assert_json_snapshot!(
        "schedule",
        get("eva", format!("/api/v1/schedules/{}", world.schedule)).await
    );
}

#[tokio::test]
async fn the_only_admin_stays() {
    let rig = Rig::new().await;
    let (_, session) = rig.user("root", &[Role::Admin], false).await;
    let path = "/api/v1/users/root";
    for body in [json!({ "disabled": true }), json!({ "roles": ["developer"] })] {
        assert_eq!(rig.send(Ask::new("PATCH", path, &session).body(body)).await.status, 409);
    }
    assert_eq!(rig.send(Ask::new("DELETE", path, &session)).await.status, 409);
}

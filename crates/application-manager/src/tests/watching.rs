//! What a browser sees while it watches, and what it can look up afterwards.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::extract::ConnectInfo;
use axum::http::Request;
use common::messages::action::{ActionEvent, Notification, Severity};
use common::messages::instance::{InstanceEvent, InstanceState};
use common::messages::log::{AppLog, LogLine, Stream};
use common::messages::reading::{Quarantine, Reading};
use common::{ActionId, Timestamp, UserId};
use futures_util::StreamExt as _;
use runtime::Handler as _;
use runtime::memory::envelope;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::rig::{Ask, Rig};
use super::world::World;
use crate::archive::Keeper;
use crate::hub::Signal;
use crate::live::Point;
use crate::view::Fold as _;

struct Watcher(BodyDataStream);

impl Watcher {
    async fn begin(rig: &Rig, session: &str, topics: &str) -> Self {
        let mut request = Request::get(format!("/api/v1/events?topics={topics}"))
            .header("cookie", format!("iot_session={session}"))
            .body(Body::empty())
            .unwrap();
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 5000))));
        let response = rig.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut watcher = Self(response.into_body().into_data_stream());
        assert_eq!(watcher.next().await.unwrap()["topic"], "hello");
        watcher
    }

    async fn next(&mut self) -> Option<Value> {
        let piece = self.0.next().await?.unwrap();
        let text = std::str::from_utf8(&piece).unwrap().to_owned();
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        Some(serde_json::from_str(data).unwrap())
    }
}

#[tokio::test]
async fn each_person_sees_what_is_theirs() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    let topics = format!("instances,logs:{},readings:{}", world.instance, world.sensor);
    let mut eva = Watcher::begin(&rig, &world.sessions["eva"], &topics).await;
    let mut dora = Watcher::begin(&rig, &world.sessions["dora"], &topics).await;
    let mut sam = Watcher::begin(&rig, &world.sessions["sam"], &topics).await;

    let mut instance = rig.app.view.read().instances[&world.instance].clone();
    instance.version += 1;
    instance.state = InstanceState::Succeeded;
    let event = InstanceEvent::Changed {
        instance: Box::new(instance),
    };
    let signal = rig.app.view.change(|view| view.fold(&event)).unwrap();
    rig.app.hub.publish(signal);
    rig.app.hub.publish(Signal::Reading(Arc::new(Reading {
        sensor: world.sensor,
        boot: None,
        seq: None,
        time: Timestamp::from_millis(5),
        received: Timestamp::from_millis(5),
        values: BTreeMap::from([("temperature".to_owned(), 21.5)]),
    })));
    rig.app.hub.publish(Signal::Lines(Arc::new(AppLog::Instance {
        instance: world.instance,
        container: "c1".to_owned(),
        lines: vec![LogLine {
            number: 1,
            time: Timestamp::from_millis(6),
            stream: Stream::Stdout,
            text: "hot".to_owned(),
        }],
    })));
    rig.app.hub.close();

    let seen = eva.next().await.unwrap();
    assert_eq!(
        (&seen["topic"], &seen["data"]["state"]),
        (&json!("instances"), &json!("succeeded"))
    );
    let seen = eva.next().await.unwrap();
    assert_eq!(
        seen["data"],
        json!({ "sensor": world.sensor, "time": "1970-01-01T00:00:00.005Z", "values": { "temperature": 21.5 } })
    );
    assert_eq!(eva.next().await.unwrap()["data"]["lines"][0]["text"], "hot");
    assert_eq!(eva.next().await, None);

    // The developer sees state and log, not what the sensor says.
    let seen = dora.next().await.unwrap();
    assert_eq!(
        (&seen["data"]["state"], &seen["data"]["binding"]),
        (&json!("succeeded"), &Value::Null)
    );
    assert_eq!(dora.next().await.unwrap()["topic"], format!("logs:{}", world.instance));
    assert_eq!(dora.next().await, None);
    assert_eq!(sam.next().await, None);
}

#[tokio::test]
async fn who_is_disabled_is_cut_off() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    let mut eva = Watcher::begin(&rig, &world.sessions["eva"], "instances").await;
    let body = json!({ "disabled": true });
    let disabled = rig.send(Ask::new("PATCH", "/api/v1/users/eva", &world.sessions["admin"]).body(body));
    let settled = async {
        while rig
            .memory
            .records()
            .iter()
            .filter(|record| record.topic == "user.events")
            .count()
            < 15
        {
            tokio::task::yield_now().await;
        }
        rig.settle_users();
    };
    let (answer, ()) = tokio::join!(disabled, settled);
    assert_eq!(answer.status, 200);
    rig.app.hub.publish(Signal::Instance(world.instance));
    assert_eq!(eva.next().await, None);
    assert_eq!(
        rig.send(Ask::new("GET", "/api/v1/session", &world.sessions["eva"]))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn notifications_come_in_pages_and_are_the_owners() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    let keeper = Keeper(rig.archive.clone());
    let owner = UserId::derive(&["test", "eva"]);
    for number in 0..5 {
        let notification = Box::new(Notification {
            id: ActionId::derive(&["n", &number.to_string()]),
            instance: world.instance,
            owner,
            application: "Room comfort".to_owned(),
            title: format!("number {number}"),
            text: String::new(),
            severity: Severity::Warning,
            at: Timestamp::from_millis(number * 1000),
            deliveries: Vec::new(),
            version: 1,
        });
        keeper
            .handle(&envelope(ActionEvent::Notification { notification }))
            .await
            .unwrap();
    }
    let (mut titles, mut path) = (Vec::new(), "/api/v1/notifications?limit=2".to_owned());
    loop {
        let page = rig.send(Ask::new("GET", &path, &world.sessions["eva"])).await.body;
        titles.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["title"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/notifications?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(titles, ["number 4", "number 3", "number 2", "number 1", "number 0"]);
    let others = rig
        .send(Ask::new("GET", "/api/v1/notifications", &world.sessions["dora"]))
        .await;
    assert_eq!(others.body["items"], json!([]));
}

#[tokio::test]
async fn readings_are_history_and_what_is_newer() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    let now = Timestamp::now();
    let values = |value: f64| BTreeMap::from([("temperature".to_owned(), value)]);
    let point = |seconds: i64, value: f64| Point {
        time: now.plus_millis(-seconds * 1000),
        values: values(value),
    };
    let history = vec![point(7200, 1.0), point(60, 2.0), point(30, 3.0)];
    rig.archive.readings.lock().unwrap().insert(world.sensor, history);
    for (seconds, value) in [(30, 3.0), (1, 4.0)] {
        let point = point(seconds, value);
        rig.app.live.push(&Reading {
            sensor: world.sensor,
            boot: None,
            seq: None,
            time: point.time,
            received: point.time,
            values: point.values,
        });
    }
    let eva = &world.sessions["eva"];
    let answer = rig
        .send(Ask::new(
            "GET",
            &format!("/api/v1/sensors/{}/readings", world.sensor),
            eva,
        ))
        .await;
    let found: Vec<f64> = answer.body["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["values"]["temperature"].as_f64().unwrap())
        .collect();
    assert_eq!(found, [2.0, 3.0, 4.0]);
    let path = format!("/api/v1/instances/{}/readings", world.instance);
    let answer = rig.send(Ask::new("GET", &path, eva)).await;
    assert_eq!(
        answer.body["slots"]["temperature"][0]["points"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn quarantine_shows_the_own_connectors_only() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    let keeper = Keeper(rig.archive.clone());
    for connector in [world.connector, common::ConnectorId::new()] {
        let refused = Quarantine::Refused {
            sensor: world.sensor.to_string(),
            connector,
            reason: "out of range".to_owned(),
            sample: "5000".to_owned(),
            received: Timestamp::now(),
        };
        keeper.handle(&envelope(refused)).await.unwrap();
    }
    let count = async |who: &str| {
        let answer = rig
            .send(Ask::new("GET", "/api/v1/quarantine", &world.sessions[who]))
            .await;
        answer.body["items"].as_array().unwrap().len()
    };
    assert_eq!(
        (count("olga").await, count("sam").await, count("admin").await),
        (1, 0, 2)
    );
}

#[tokio::test]
async fn another_origin_may_change_nothing() {
    let rig = Rig::new().await;
    let world = World::build(&rig).await;
    for headers in [
        [("origin", "http://iot.example:8081")],
        [("sec-fetch-site", "same-site")],
    ] {
        let ask = Ask::new("DELETE", "/api/v1/session", &world.sessions["eva"]).headers(&headers);
        let answer = rig.send(ask).await;
        assert_eq!((answer.status.as_u16(), answer.text("type")), (403, "foreign-origin"));
    }
    let ask = Ask::new("GET", "/api/v1/session", &world.sessions["eva"]);
    let answer = rig.send(ask).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["cache-control"], "no-store");
}

use std::collections::BTreeMap;

use super::*;
use crate::view::{Fold as _, InstanceFacts, Known};
use axum::body::{Body, to_bytes};
use axum::http::Request;
use common::manifest::{Parameter, ParameterKind, ThingKind};
use common::messages::binding::{Binding, BindingEvent, BindingState, BoundMember, BoundSlot, SessionEvent};
use common::messages::registry::CommandSpec;
use common::{DeviceId, UserId};
use runtime::memory::MemoryBus;
use runtime::store::MemoryDocuments;
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) struct World {
    pub(crate) memory: Arc<MemoryBus>,
    pub(crate) view: Arc<View>,
    pub(crate) instance: InstanceId,
    pub(crate) devices: [DeviceId; 2],
    gateway: Gateway,
    token: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let (memory, bus) = MemoryBus::bus("action-manager");
        let view = Arc::new(View::default());
        let (instance, devices) = (InstanceId::new(), [DeviceId::new(), DeviceId::new()]);
        know(&mut view.write(), instance, devices);
        let key = TokenKey::new("k");
        let token = key.issue(instance);
        let commands = Entities::new(Arc::new(MemoryDocuments::default()), bus.clone());
        let gateway = Gateway::new(view.clone(), key, bus, commands);
        Self {
            memory,
            view,
            instance,
            devices,
            gateway,
            token,
        }
    }

    async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> (StatusCode, Value) {
        let bearer = format!("Bearer {}", self.token);
        let mut all = BTreeMap::from([
            ("authorization", bearer.as_str()),
            ("x-session", "7"),
            ("idempotency-key", "3:17/0"),
        ]);
        all.extend(headers.iter().copied());
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in all {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = self.gateway.clone().router().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn command(&self, body: Value) -> (StatusCode, Value) {
        self.call("POST", "/v1/commands", &[], body).await
    }
}

/// A view in which an instance with a fan slot of two devices runs, with session 7.
fn know(known: &mut Known, instance: InstanceId, devices: [DeviceId; 2]) {
    let facts = InstanceFacts {
        owner: UserId::new(),
        application: "Room comfort".to_owned(),
        over: false,
        version: 1,
    };
    known.instances.insert(instance, facts);
    known.fold(&SessionEvent::Opened {
        instance,
        shard: 0,
        session: 7,
        replica: "a".to_owned(),
        at: Timestamp::from_millis(0),
    });
    let member = |device: DeviceId| BoundMember {
        id: device.uuid(),
        name: "Fan".to_owned(),
        type_name: "fan".to_owned(),
        location: "Lab".to_owned(),
    };
    let fan = BoundSlot {
        kind: ThingKind::Device,
        members: devices.map(member).to_vec(),
    };
    let thermometer = BoundSlot {
        kind: ThingKind::Sensor,
        members: vec![],
    };
    let slots = BTreeMap::from([("fan".to_owned(), fan), ("temperature".to_owned(), thermometer)]);
    known.fold(&BindingEvent::Changed {
        binding: Box::new(Binding {
            instance,
            state: BindingState::Bound { slots },
            version: 1,
        }),
    });
    let on = Parameter {
        kind: ParameterKind::Boolean,
        title: None,
        default: None,
        minimum: None,
        maximum: None,
        choices: vec![],
        unit: None,
    };
    let switch = CommandSpec {
        title: None,
        arguments: BTreeMap::from([("on".to_owned(), on)]),
    };
    known
        .types
        .insert("fan".to_owned(), BTreeMap::from([("switch".to_owned(), switch)]));
    for device in devices {
        known.devices.insert(device, "fan".to_owned());
    }
}

#[tokio::test]
async fn a_command_goes_to_each_device_of_the_slot_and_a_repeat_is_the_same() {
    let world = World::new();
    let body = json!({ "slot": "fan", "command": "switch", "arguments": { "on": true } });
    let (status, first) = world.command(body.clone()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(first["ids"].as_array().unwrap().len(), 2);
    assert_eq!(first["id"], first["ids"][0]);
    let (_, again) = world.command(body.clone()).await;
    assert_eq!(again, first);
    let requests = world.memory.distinct::<ActionRequest>();
    assert_eq!(requests.len(), 2);
    let ActionRequest::Command {
        device, at, expires, ..
    } = &requests[0]
    else {
        panic!()
    };
    assert_eq!(*device, world.devices[0]);
    assert_eq!(expires.millis_since(*at), 60_000);
    let one = json!({ "slot": "fan", "device": world.devices[1], "command": "switch", "arguments": { "on": true } });
    let (status, answer) = world.command(one).await;
    assert_eq!((status, &answer["ids"][0]), (StatusCode::ACCEPTED, &first["ids"][1]));
    let path = format!("/v1/commands/{}", first["id"].as_str().unwrap());
    let (status, state) = world.call("GET", &path, &[], Value::Null).await;
    assert_eq!((status, &state["state"]), (StatusCode::OK, &json!("queued")));
}

#[tokio::test]
async fn notifications_are_taken() {
    let world = World::new();
    let body = json!({ "title": "Too warm", "text": "31 °C", "severity": "critical" });
    let (status, first) = world.call("POST", "/v1/notifications", &[], body.clone()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (_, other) = world
        .call("POST", "/v1/notifications", &[("idempotency-key", "3:17/1")], body)
        .await;
    assert_ne!(first["id"], other["id"]);
    assert_eq!(world.memory.distinct::<ActionRequest>().len(), 2);
}

#[tokio::test]
async fn what_does_not_fit_is_said() {
    let world = World::new();
    let on = json!({ "on": true });
    #[rustfmt::skip]
    let table = [
        (json!({ "slot": "lamp", "command": "switch", "arguments": on }), "`lamp` is not a slot for devices; there are: fan"),
        (json!({ "slot": "temperature", "command": "switch", "arguments": on }), "`temperature` is not a slot for devices"),
        (json!({ "slot": "fan", "command": "explode" }), "`fan` has no command `explode`; it has: switch"),
        (json!({ "slot": "fan", "command": "switch", "arguments": { "on": 3 } }), "arguments.on: found"),
        (json!({ "slot": "fan", "command": "switch" }), "arguments.on: found nothing"),
        (json!({ "slot": "fan", "command": "switch", "arguments": on, "device": DeviceId::new() }), "is not bound to `fan`; bound are:"),
        (json!({ "slot": "fan", "command": "switch", "arguments": on, "expires_seconds": 0 }), "`expires_seconds` is 0"),
        (json!({ "slot": "fan", "command": "switch", "argument": on }), "unknown field `argument`"),
        (json!([]), "the body does not fit"),
    ];
    for (body, expected) in table {
        let (status, problem) = world.command(body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
    }
    for title in ["", "two\nlines", &"x".repeat(201)] {
        let (status, _) = world
            .call("POST", "/v1/notifications", &[], json!({ "title": title }))
            .await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert!(world.memory.records().is_empty());
}

#[tokio::test]
async fn only_the_newest_session_of_the_right_instance_acts() {
    let world = World::new();
    let body = json!({ "title": "x" });
    let notify =
        async |headers: &[(&str, &str)]| world.call("POST", "/v1/notifications", headers, body.clone()).await.0;
    assert_eq!(notify(&[("x-session", "6")]).await, StatusCode::CONFLICT);
    assert_eq!(
        notify(&[("x-session", "8")]).await,
        StatusCode::ACCEPTED,
        "its opening is on its way"
    );
    assert_eq!(notify(&[("x-session", "x")]).await, StatusCode::BAD_REQUEST);
    assert_eq!(notify(&[("idempotency-key", "")]).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        notify(&[("authorization", "Bearer x.y")]).await,
        StatusCode::UNAUTHORIZED
    );
    let stranger = format!("Bearer {}", TokenKey::new("other").issue(world.instance));
    assert_eq!(notify(&[("authorization", &stranger)]).await, StatusCode::UNAUTHORIZED);
    if let Some(facts) = world.view.write().instances.get_mut(&world.instance) {
        facts.over = true;
    }
    assert_eq!(notify(&[]).await, StatusCode::CONFLICT, "the instance is over");
}

#[tokio::test]
async fn what_is_not_possible_yet_is_worth_another_try() {
    let world = World::new();
    world.memory.set_down(true);
    let body = json!({ "slot": "fan", "command": "switch", "arguments": { "on": true } });
    assert_eq!(world.command(body.clone()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    world.memory.set_down(false);
    world.view.write().bindings.clear();
    assert_eq!(world.command(body).await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn commands_of_others_are_not_there() {
    let world = World::new();
    for id in [ActionId::new().to_string(), "x".to_owned()] {
        let (status, _) = world.call("GET", &format!("/v1/commands/{id}"), &[], Value::Null).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
}

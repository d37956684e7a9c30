use common::ActionId;
use common::messages::action::{DeviceCommand, DeviceEvent};
use rumqttc::{Packet, QoS, SubscribeReasonCode};
use serde_json::json;

use super::clients::{next, v4};
use super::*;

fn execute(name: &str) -> DeviceCommand {
    DeviceCommand::Execute {
        id: ActionId::derive(&[name]),
        device: fixtures::device(),
        command: "switch".to_owned(),
        arguments: serde_json::from_value(json!({"on": true})).unwrap(),
        expires: soon(),
    }
}

fn commands_topic() -> String {
    format!("v1/devices/{}/commands", fixtures::device())
}

async fn subscribed(endpoint: &Endpoint) -> (rumqttc::AsyncClient, rumqttc::EventLoop) {
    let (client, mut events) = v4(endpoint, "a", "secret");
    client.subscribe(commands_topic(), QoS::AtLeastOnce).await.unwrap();
    assert!(matches!(next(&mut events).await, Ok(Packet::ConnAck(_))));
    let Ok(Packet::SubAck(ack)) = next(&mut events).await else {
        panic!("no SUBACK");
    };
    assert_eq!(ack.return_codes, [SubscribeReasonCode::Success(QoS::AtLeastOnce)]);
    (client, events)
}

async fn command(events: &mut rumqttc::EventLoop) -> rumqttc::Publish {
    match next(events).await {
        Ok(Packet::Publish(publish)) => publish,
        other => panic!("no command but {other:?}"),
    }
}

#[tokio::test]
async fn a_command_reaches_its_device_and_its_report_reaches_kafka() {
    let (memory, bus) = memory();
    let endpoint = Endpoint::start(bus).await;
    let (client, mut events) = subscribed(&endpoint).await;
    for _ in 0..2 {
        endpoint.commands.apply(execute("a"), Timestamp::now());
    }
    let publish = command(&mut events).await;
    assert_eq!(
        (publish.topic.as_str(), publish.qos),
        (commands_topic().as_str(), QoS::AtLeastOnce)
    );
    let body: serde_json::Value = serde_json::from_slice(&publish.payload).unwrap();
    assert_eq!(
        (&body["id"], &body["command"]),
        (&json!(ActionId::derive(&["a"])), &json!("switch"))
    );
    client.ack(&publish).await.unwrap();
    let state = format!("{}/{}/state", commands_topic(), ActionId::derive(&["a"]));
    for _ in 0..2 {
        client
            .publish(
                &state,
                QoS::AtLeastOnce,
                false,
                r#"{"ok": true, "state": {"on": true}}"#,
            )
            .await
            .unwrap();
        assert!(matches!(next(&mut events).await, Ok(Packet::PubAck(_))));
    }
    let reported = memory.distinct::<DeviceEvent>();
    let [DeviceEvent::Sent { .. }, DeviceEvent::Acknowledged { reported, .. }] = &reported[..] else {
        panic!("{reported:?}");
    };
    assert_eq!(reported["on"], json!(true));
    drop((client, events));
    let (_client, mut events) = subscribed(&endpoint).await;
    endpoint.commands.apply(execute("b"), Timestamp::now());
    assert!(
        String::from_utf8_lossy(&command(&mut events).await.payload).contains(&ActionId::derive(&["b"]).to_string())
    );
}

#[tokio::test]
async fn a_command_comes_again_to_each_connection_until_it_is_over() {
    let (memory, bus) = memory();
    let endpoint = Endpoint::start(bus).await;
    endpoint.commands.apply(execute("a"), Timestamp::now());
    for acknowledged in [false, true] {
        let (client, mut events) = subscribed(&endpoint).await;
        let publish = command(&mut events).await;
        if acknowledged {
            client.ack(&publish).await.unwrap();
            client
                .publish(topic(fixtures::sensor()), QoS::AtLeastOnce, false, "1")
                .await
                .unwrap();
            assert!(matches!(next(&mut events).await, Ok(Packet::PubAck(_))));
        }
    }
    assert!(matches!(
        memory.messages::<DeviceEvent>()[..],
        [DeviceEvent::Sent { .. }]
    ));
    let (_client, mut events) = subscribed(&endpoint).await;
    command(&mut events).await;
    let forget = DeviceCommand::Forget {
        id: ActionId::derive(&["a"]),
        device: fixtures::device(),
    };
    endpoint.commands.apply(forget, Timestamp::now());
    endpoint.commands.apply(execute("b"), Timestamp::now());
    let (_client, mut events) = subscribed(&endpoint).await;
    let publish = command(&mut events).await;
    assert!(String::from_utf8_lossy(&publish.payload).contains(&ActionId::derive(&["b"]).to_string()));
}

#[tokio::test]
async fn a_foreign_device_can_neither_be_heard_nor_spoken_for() {
    let (memory, bus) = memory();
    let endpoint = Endpoint::start(bus).await;
    let (client, mut events) = v4(&endpoint, "a", "secret");
    let foreign = format!("v1/devices/{}/commands", fixtures::foreign_device());
    for filter in [foreign.as_str(), "#", "v1/devices/+/commands"] {
        client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
    }
    assert!(matches!(next(&mut events).await, Ok(Packet::ConnAck(_))));
    for _ in 0..3 {
        let Ok(Packet::SubAck(ack)) = next(&mut events).await else {
            panic!("no SUBACK");
        };
        assert_eq!(ack.return_codes, [SubscribeReasonCode::Failure]);
    }
    let state = format!("{foreign}/{}/state", ActionId::new());
    client
        .publish(state, QoS::AtLeastOnce, false, r#"{"ok": true}"#)
        .await
        .unwrap();
    assert!(matches!(next(&mut events).await, Ok(Packet::PubAck(_))));
    assert!(memory.messages::<DeviceEvent>().is_empty());
}

use common::messages::reading::{Quarantine, SensorData};
use rumqttc::v5::mqttbytes::v5;
use rumqttc::{Packet, QoS};

use super::clients::{next, next5, v4, v5};
use super::*;

#[tokio::test]
async fn readings_of_3_1_1_are_acknowledged_in_order() {
    let (memory, bus) = memory();
    let endpoint = Endpoint::start(bus).await;
    let (client, mut events) = v4(&endpoint, "a", "secret");
    for seq in 0..400 {
        client
            .publish(topic(fixtures::sensor()), QoS::AtLeastOnce, false, payload(seq))
            .await
            .unwrap();
    }
    assert!(matches!(next(&mut events).await, Ok(Packet::ConnAck(_))));
    for id in 1..=400 {
        assert!(matches!(next(&mut events).await, Ok(Packet::PubAck(ack)) if ack.pkid == id));
    }
    let seqs: Vec<_> = memory
        .messages::<SensorData>()
        .iter()
        .map(|SensorData::Reading(reading)| reading.seq.unwrap())
        .collect();
    assert_eq!(seqs, (0..400).collect::<Vec<u64>>());
}

#[tokio::test]
async fn version_5_is_told_what_was_refused_and_all_of_it_is_quarantined() {
    let (memory, bus) = memory();
    let endpoint = Endpoint::start(bus).await;
    let (client, mut events) = v5(&endpoint, "secret");
    let Ok(v5::Packet::ConnAck(ack)) = next5(&mut events).await else {
        panic!("no CONNACK");
    };
    let terms = ack.properties.unwrap();
    assert_eq!(
        (terms.receive_max, terms.max_qos, terms.retain_available),
        (Some(64), Some(1), Some(0))
    );
    assert_eq!(terms.max_packet_size, Some(256 * 1024));
    let own = topic(fixtures::sensor());
    for (topic, payload, reason) in [
        (own.clone(), "21.5", v5::PubAckReason::Success),
        (own.clone(), "warm", v5::PubAckReason::PayloadFormatInvalid),
        (own.clone(), "99", v5::PubAckReason::PayloadFormatInvalid),
        (own.clone(), "[1, 99]", v5::PubAckReason::Success),
        (topic(fixtures::foreign_sensor()), "1", v5::PubAckReason::NotAuthorized),
        ("home/kitchen".to_owned(), "1", v5::PubAckReason::TopicNameInvalid),
    ] {
        client
            .publish(topic, rumqttc::v5::mqttbytes::QoS::AtLeastOnce, true, payload)
            .await
            .unwrap();
        let Ok(v5::Packet::PubAck(ack)) = next5(&mut events).await else {
            panic!("no PUBACK");
        };
        assert_eq!(ack.reason, reason, "{payload}");
        let why = ack.properties.and_then(|properties| properties.reason_string);
        assert_eq!(why.is_some(), payload != "21.5", "{payload}");
    }
    assert_eq!(memory.messages::<SensorData>().len(), 2);
    assert_eq!(memory.messages::<Quarantine>().len(), 5);
}

#[tokio::test]
async fn what_3_1_1_may_not_say_is_quarantined_and_acknowledged() {
    let (memory, bus) = memory();
    let endpoint = Endpoint::start(bus).await;
    let (client, mut events) = v4(&endpoint, "a", "secret");
    assert!(matches!(next(&mut events).await, Ok(Packet::ConnAck(_))));
    for (topic, payload) in [
        (topic(fixtures::foreign_sensor()), "1"),
        ("home".to_owned(), "1"),
        (topic(fixtures::sensor()), "warm"),
    ] {
        client.publish(topic, QoS::AtLeastOnce, false, payload).await.unwrap();
        assert!(matches!(next(&mut events).await, Ok(Packet::PubAck(_))));
    }
    assert_eq!(memory.messages::<Quarantine>().len(), 3);
    assert!(memory.messages::<SensorData>().is_empty());
}

#[tokio::test]
async fn without_kafkas_word_there_is_no_puback_and_the_connection_ends() {
    let (memory, bus) = memory();
    let endpoint = Endpoint::start(bus).await;
    memory.set_down(true);
    for payload in ["1", "warm"] {
        let (client, mut events) = v4(&endpoint, "a", "secret");
        assert!(matches!(next(&mut events).await, Ok(Packet::ConnAck(_))));
        client
            .publish(topic(fixtures::sensor()), QoS::AtLeastOnce, false, payload)
            .await
            .unwrap();
        assert!(next(&mut events).await.is_err());
    }
    let (client, mut events) = v5(&endpoint, "secret");
    client
        .publish(
            topic(fixtures::sensor()),
            rumqttc::v5::mqttbytes::QoS::AtLeastOnce,
            false,
            "1",
        )
        .await
        .unwrap();
    assert!(matches!(next5(&mut events).await, Ok(v5::Packet::ConnAck(_))));
    let end = next5(&mut events).await;
    assert!(
        matches!(&end, Ok(v5::Packet::Disconnect(bye)) if bye.reason_code == v5::DisconnectReasonCode::ServerBusy)
            || end.is_err(),
        "{end:?}"
    );
    // The client comes back and sends again what was not acknowledged.
    memory.set_down(false);
    let (client, mut events) = v4(&endpoint, "a", "secret");
    client
        .publish(topic(fixtures::sensor()), QoS::AtLeastOnce, false, payload(0))
        .await
        .unwrap();
    assert!(matches!(next(&mut events).await, Ok(Packet::ConnAck(_))));
    assert!(matches!(next(&mut events).await, Ok(Packet::PubAck(_))));
}

#[tokio::test]
async fn qos_0_is_taken_even_from_a_client_that_leaves_at_once() {
    let (manual, bus) = Manual::bus();
    let endpoint = Endpoint::start(bus).await;
    let (client, mut events) = v4(&endpoint, "a", "secret");
    for _ in 0..300 {
        client
            .publish(topic(fixtures::sensor()), QoS::AtMostOnce, false, "21.5")
            .await
            .unwrap();
    }
    client.disconnect().await.unwrap();
    let polling = tokio::spawn(async move { while next(&mut events).await.is_ok() {} });
    manual.handed_over(256).await;
    for at in 0..256 {
        manual.confirm(at);
    }
    manual.handed_over(300).await;
    for at in 256..300 {
        manual.confirm(at);
    }
    polling.await.unwrap();
}

#[tokio::test]
async fn a_wrong_secret_or_a_removed_connector_is_refused() {
    let (_, bus) = memory();
    let endpoint = Endpoint::start(bus).await;
    let (_client, mut events) = v4(&endpoint, "a", "wrong");
    assert!(next(&mut events).await.unwrap_err().contains("BadUserNamePassword"));
    let (_client, mut events) = v5(&endpoint, "wrong");
    assert!(next5(&mut events).await.unwrap_err().contains("BadUserNamePassword"));
    endpoint.directory.replace([]);
    let (_client, mut events) = v4(&endpoint, "a", "secret");
    assert!(next(&mut events).await.is_err());
}

#[tokio::test]
async fn the_second_connection_of_a_client_takes_over() {
    let (_, bus) = memory();
    let endpoint = Endpoint::start(bus).await;
    let (_first, mut first) = v4(&endpoint, "same", "secret");
    assert!(matches!(next(&mut first).await, Ok(Packet::ConnAck(_))));
    let (_other, mut other) = v4(&endpoint, "other", "secret");
    assert!(matches!(next(&mut other).await, Ok(Packet::ConnAck(_))));
    let (client, mut second) = v4(&endpoint, "same", "secret");
    assert!(matches!(next(&mut second).await, Ok(Packet::ConnAck(_))));
    assert!(next(&mut first).await.is_err());
    client
        .publish(topic(fixtures::sensor()), QoS::AtLeastOnce, false, "1")
        .await
        .unwrap();
    assert!(matches!(next(&mut second).await, Ok(Packet::PubAck(_))));
}

#[tokio::test]
async fn qos_2_is_refused() {
    let (memory, bus) = memory();
    let endpoint = Endpoint::start(bus).await;
    let (client, mut events) = v4(&endpoint, "a", "secret");
    assert!(matches!(next(&mut events).await, Ok(Packet::ConnAck(_))));
    client
        .publish(topic(fixtures::sensor()), QoS::ExactlyOnce, false, "1")
        .await
        .unwrap();
    assert!(next(&mut events).await.is_err());
    assert!(memory.records().is_empty());
}

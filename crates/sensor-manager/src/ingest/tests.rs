use runtime::memory::MemoryBus;

use super::*;

fn sender() -> Sender {
    Sender {
        connector: fixtures::connector(),
        via: "test",
        received: "2026-01-31T08:00:00Z".parse().unwrap(),
    }
}

async fn take(ingest: &Ingest, sensor: SensorId, payload: &str) -> (usize, Option<Refusal>) {
    let intake = ingest
        .readings(sender(), sensor, payload.as_bytes(), None)
        .await
        .unwrap();
    intake.durable.await.unwrap();
    (intake.accepted, intake.refusal)
}

#[tokio::test]
async fn a_repeat_has_the_same_id_and_the_order_is_kept() {
    let (memory, bus) = MemoryBus::bus("sensor-manager");
    let ingest = shared(bus, fixtures::directory());
    let payload = r#"[{"value": 1, "boot": 7, "seq": 0}, {"value": 2, "boot": 7, "seq": 1}]"#;
    for _ in 0..2 {
        assert_eq!(take(&ingest, fixtures::sensor(), payload).await, (2, None));
    }
    assert_eq!(memory.messages::<SensorData>().len(), 4);
    let distinct = memory.distinct::<SensorData>();
    let values: Vec<f64> = distinct
        .iter()
        .map(|SensorData::Reading(reading)| reading.values["temperature"])
        .collect();
    assert_eq!(values, [1.0, 2.0]);
    for _ in 0..2 {
        assert_eq!(take(&ingest, fixtures::sensor(), "5").await, (1, None));
    }
    assert_eq!(memory.distinct::<SensorData>().len(), 4);
}

#[tokio::test]
async fn what_can_not_be_true_is_quarantined_beside_what_can() {
    let (memory, bus) = MemoryBus::bus("sensor-manager");
    let ingest = shared(bus, fixtures::directory());
    let (accepted, refusal) = take(&ingest, fixtures::sensor(), "[1, 99, 2, 100]").await;
    let refusal = refusal.unwrap();
    assert_eq!((accepted, refusal.count, refusal.fault), (2, 2, Fault::Impossible));
    assert!(
        refusal
            .reason
            .starts_with("2 of 4 readings were refused, the first because `temperature` is 99")
    );
    let quarantined = memory.messages::<Quarantine>();
    let [
        Quarantine::Refused {
            sensor,
            connector,
            sample,
            ..
        },
    ] = &quarantined[..]
    else {
        panic!("{quarantined:?}");
    };
    assert_eq!(
        (sensor.as_str(), *connector),
        (fixtures::sensor().to_string().as_str(), fixtures::connector())
    );
    assert_eq!(sample, r#"{"values":{"value":99.0},"time":null}"#);
}

#[tokio::test]
async fn what_can_not_be_read_or_is_not_the_senders_is_quarantined() {
    let (memory, bus) = MemoryBus::bus("sensor-manager");
    let ingest = shared(bus, fixtures::directory());
    for (sensor, payload, fault) in [
        (fixtures::sensor(), "warm".to_owned(), Fault::Unreadable),
        (fixtures::sensor(), "ü".repeat(2000), Fault::Unreadable),
        (fixtures::foreign_sensor(), "1".to_owned(), Fault::NotAllowed),
        (SensorId::new(), "1".to_owned(), Fault::NotAllowed),
    ] {
        let (accepted, refusal) = take(&ingest, sensor, &payload).await;
        assert_eq!((accepted, refusal.unwrap().fault), (0, fault));
    }
    assert!(memory.messages::<SensorData>().is_empty());
    let quarantined = memory.messages::<Quarantine>();
    assert_eq!(quarantined.len(), 4);
    for Quarantine::Refused { sample, .. } in &quarantined {
        assert!(sample.len() <= SAMPLE_BYTES);
    }
}

#[tokio::test]
async fn nothing_is_durable_while_kafka_is_away() {
    let (memory, bus) = MemoryBus::bus("sensor-manager");
    let ingest = shared(bus, fixtures::directory());
    memory.set_down(true);
    for payload in ["1", "99", "[1, 2]"] {
        let intake = ingest
            .readings(sender(), fixtures::sensor(), payload.as_bytes(), None)
            .await
            .unwrap();
        assert!(intake.durable.await.is_err(), "{payload}");
    }
}

use super::*;
use common::Timestamp;
use common::manifest::ThingKind;

fn entries() -> Vec<Entry> {
    let type_ = |name: &str, kind| {
        Entry::Type(Type {
            name: name.parse().unwrap(),
            title: name.to_owned(),
            kind,
            properties: BTreeMap::new(),
            expected_interval_seconds: None,
            commands: BTreeMap::new(),
            version: 1,
        })
    };
    let site = Location {
        id: LocationId::derive(&["site"]),
        name: "Site".to_owned(),
        kind: "site".to_owned(),
        parent: None,
        grants: Vec::new(),
        version: 1,
    };
    vec![
        type_("temperature", ThingKind::Sensor),
        type_("fan", ThingKind::Device),
        Entry::Location(site),
        Entry::Sensor(Sensor {
            id: SensorId::derive(&["s"]),
            name: "north".to_owned(),
            type_name: "temperature".parse().unwrap(),
            location: LocationId::derive(&["site"]),
            connector: ConnectorId::derive(&["c"]),
            created: Timestamp::from_millis(0),
            version: 3,
        }),
        Entry::Device(Device {
            id: DeviceId::derive(&["d"]),
            name: "fan".to_owned(),
            type_name: "fan".parse().unwrap(),
            location: LocationId::derive(&["site"]),
            connector: ConnectorId::derive(&["c"]),
            created: Timestamp::from_millis(0),
            version: 1,
        }),
    ]
}

#[tokio::test]
async fn facts_come_with_type_and_path() {
    let directory = Directory::of(entries());
    directory.caught_up().await;
    let facts = directory.sensor(SensorId::derive(&["s"])).unwrap();
    assert_eq!(facts.type_.name.as_str(), "temperature");
    assert_eq!(facts.location_path, "Site");
    assert_eq!(directory.devices_of(ConnectorId::derive(&["c"])).len(), 1);
    assert_eq!(directory.place(LocationId::derive(&["site"])).unwrap().path(), "Site");
    assert!(directory.place(LocationId::derive(&["elsewhere"])).is_none());
}

#[test]
fn an_older_version_and_a_missing_type_are_not_shown() {
    let mut known = Entries::default();
    for entry in entries() {
        known.put(entry);
    }
    let mut old = known.0[&EntryId::Sensor(SensorId::derive(&["s"])).to_string()].clone();
    old.set_version(2);
    if let Entry::Sensor(sensor) = &mut old {
        sensor.name = "old".to_owned();
    }
    known.put(old);
    assert_eq!(known.snapshot().sensors[&SensorId::derive(&["s"])].sensor.name, "north");
    known.remove(&EntryId::Type("temperature".parse().unwrap()));
    assert!(known.snapshot().sensors.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_was_registered_just_now_is_waited_for_and_no_other() {
    let directory = Directory::of(entries());
    let now = Timestamp::now();
    let known = |id: SensorId| move |directory: &Directory| directory.sensor(id).is_some();
    let waited = async |id: SensorId, now: Timestamp| {
        let began = tokio::time::Instant::now();
        directory.expect(id.uuid(), now, known(id)).await;
        began.elapsed()
    };
    let new = SensorId::new();
    assert_eq!(waited(new, now).await, TOLD, "it never comes");
    assert_eq!(waited(new, now.plus_millis(60_000)).await, Duration::ZERO, "it is old");
    assert_eq!(
        waited(SensorId::derive(&["?"]), now).await,
        Duration::ZERO,
        "it holds no moment"
    );
    assert_eq!(
        waited(SensorId::derive(&["s"]), now).await,
        Duration::ZERO,
        "it is known"
    );

    let registering = directory.clone();
    tokio::spawn(async move {
        let mut entries = entries();
        if let Some(Entry::Sensor(sensor)) = entries.iter_mut().find(|entry| matches!(entry, Entry::Sensor(_))) {
            sensor.id = new;
        }
        registering.replace(entries);
    });
    assert!(waited(new, now).await < TOLD, "it comes");
    assert!(directory.sensor(new).is_some());
}

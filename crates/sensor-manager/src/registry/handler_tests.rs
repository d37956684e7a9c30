use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use common::manifest::ThingKind;
use common::messages::operation::Refusal;
use common::messages::registry::{Connector, Location, Property, Sensor, Type};
use common::{ConnectorId, LocationId, OperationId, SensorId, UserId};
use runtime::Entities;
use runtime::memory::{MemoryBus, envelope, feed_twice};
use runtime::store::MemoryDocuments;

struct World {
    memory: Arc<MemoryBus>,
    handler: RegistryHandler,
}

impl World {
    fn new() -> Self {
        let (memory, bus) = MemoryBus::bus("sensor-manager");
        let entries = Entities::new(Arc::new(MemoryDocuments::default()), bus.clone());
        let handler = RegistryHandler {
            registry: Registry { entries },
            bus,
        };
        Self { memory, handler }
    }

    fn by() -> Requester {
        Requester {
            user: UserId::new(),
            operation: OperationId::new(),
        }
    }

    /// Feeds a command twice and returns the answer, of which there is exactly one.
    async fn ask(&self, command: RegistryCommand) -> OperationEvent {
        let (RegistryCommand::Put { by, .. } | RegistryCommand::Delete { by, .. }) = &command;
        let operation = by.operation;
        feed_twice(&self.handler, &envelope(command)).await.unwrap();
        let mut answers = self.memory.distinct::<OperationEvent>();
        answers.retain(|answer| answer.key() == operation.to_string());
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    async fn put(&self, entry: Entry, expected: Option<u64>) -> OperationEvent {
        self.ask(RegistryCommand::Put {
            entry,
            expected,
            by: Self::by(),
        })
        .await
    }

    async fn delete(&self, id: EntryId) -> OperationEvent {
        self.ask(RegistryCommand::Delete { id, by: Self::by() }).await
    }

    async fn filled() -> Self {
        let world = Self::new();
        for entry in [
            type_("temperature", ThingKind::Sensor),
            location("site", None),
            connector(),
            sensor(),
        ] {
            let answer = world.put(entry, None).await;
            assert!(
                matches!(answer, OperationEvent::Done { version: Some(1), .. }),
                "{answer:?}"
            );
        }
        world
    }
}

fn type_(name: &str, kind: ThingKind) -> Entry {
    let property = Property {
        title: None,
        unit: Some("Cel".to_owned()),
        minimum: Some(-50.0),
        maximum: Some(100.0),
    };
    Entry::Type(Type {
        name: name.parse().unwrap(),
        title: name.to_owned(),
        kind,
        properties: match kind {
            ThingKind::Sensor => BTreeMap::from([("temperature".to_owned(), property)]),
            ThingKind::Device => BTreeMap::new(),
        },
        expected_interval_seconds: None,
        commands: BTreeMap::new(),
        version: 0,
    })
}

fn location(name: &str, parent: Option<&str>) -> Entry {
    Entry::Location(Location {
        id: LocationId::derive(&[name]),
        name: name.to_owned(),
        kind: "room".to_owned(),
        parent: parent.map(|parent| LocationId::derive(&[parent])),
        grants: Vec::new(),
        version: 0,
    })
}

fn connector() -> Entry {
    Entry::Connector(Connector {
        id: ConnectorId::derive(&["c"]),
        name: "board".to_owned(),
        location: LocationId::derive(&["site"]),
        secret_sha256: "0".repeat(64),
        created: Timestamp::from_millis(0),
        version: 0,
    })
}

fn sensor() -> Entry {
    Entry::Sensor(Sensor {
        id: SensorId::derive(&["s"]),
        name: "north".to_owned(),
        type_name: "temperature".parse().unwrap(),
        location: LocationId::derive(&["site"]),
        connector: ConnectorId::derive(&["c"]),
        created: Timestamp::from_millis(0),
        version: 0,
    })
}

fn refused(answer: OperationEvent) -> (Refusal, String) {
    match answer {
        OperationEvent::Refused { reason, detail, .. } => (reason, detail),
        OperationEvent::Done { .. } => panic!("was carried out"),
    }
}

#[tokio::test]
async fn entries_are_created_replaced_and_deleted_with_events_of_the_whole() {
    let world = World::filled().await;
    let mut moved = sensor();
    if let Entry::Sensor(sensor) = &mut moved {
        sensor.name = "south".to_owned();
    }
    let (reason, detail) = refused(world.put(moved.clone(), None).await);
    assert_eq!(
        (reason, detail.as_str()),
        (Refusal::Conflict, "sensor `south` exists already")
    );
    let (reason, _) = refused(world.put(moved.clone(), Some(99)).await);
    assert_eq!(reason, Refusal::Conflict);
    let version = match world.memory.distinct::<RegistryEvent>().last().unwrap() {
        RegistryEvent::Changed { entry } => entry.version(),
        RegistryEvent::Deleted { .. } => panic!("deleted"),
    };
    assert!(matches!(
        world.put(moved, Some(version)).await,
        OperationEvent::Done { .. }
    ));
    assert!(matches!(world.delete(sensor().id()).await, OperationEvent::Done { .. }));
    let records = world.memory.records();
    let mut events = records.iter().filter(|record| record.topic == "registry.events").rev();
    assert_eq!(events.next().unwrap().payload, None, "a tombstone ends the key");
    assert!(events.next().unwrap().payload.as_ref().unwrap().contains("deleted"));
    let (reason, _) = refused(world.delete(sensor().id()).await);
    assert_eq!(reason, Refusal::NotFound);
}

#[tokio::test]
async fn what_is_used_stays() {
    let world = World::filled().await;
    for (id, words) in [
        (
            type_("temperature", ThingKind::Sensor).id(),
            "type `temperature` is used by sensor `north`",
        ),
        (connector().id(), "connector `board` is used by sensor `north`"),
        (location("site", None).id(), "location `site` is used by"),
    ] {
        let (reason, detail) = refused(world.delete(id).await);
        assert_eq!(reason, Refusal::Conflict);
        assert!(detail.starts_with(words), "{detail}");
    }
}

#[tokio::test]
async fn references_must_exist_and_fit() {
    let world = World::new();
    let (reason, detail) = refused(world.put(sensor(), None).await);
    assert_eq!(reason, Refusal::Invalid);
    assert_eq!(
        detail,
        "type `temperature` does not exist; register it first or choose another"
    );
    world.put(type_("temperature", ThingKind::Device), None).await;
    let (_, detail) = refused(world.put(sensor(), None).await);
    assert_eq!(detail, "`temperature` is a device type; a sensor type is needed");
    let (_, detail) = refused(world.put(connector(), None).await);
    assert_eq!(detail, "its location does not exist");
    let (_, detail) = refused(world.put(location("lab", Some("site")), None).await);
    assert_eq!(detail, "the location above does not exist");
}

#[tokio::test]
async fn locations_form_a_tree() {
    let world = World::new();
    world.put(location("site", None), None).await;
    world.put(location("lab", Some("site")), None).await;
    let mut turned = location("site", Some("lab"));
    turned.set_version(1);
    let (reason, detail) = refused(world.put(turned, Some(1)).await);
    assert_eq!(
        (reason, detail.as_str()),
        (Refusal::Invalid, "location `site` can not be placed below itself")
    );
    let mut twin = location("other", None);
    if let Entry::Location(location) = &mut twin {
        location.name = "site".to_owned();
    }
    let (reason, detail) = refused(world.put(twin, None).await);
    assert_eq!(
        (reason, detail.as_str()),
        (Refusal::Conflict, "there is a location `site` beside it already")
    );
}

#[test]
fn values_are_checked_in_words() {
    let check = |change: fn(&mut Type)| {
        let Entry::Type(mut entry) = type_("temperature", ThingKind::Sensor) else {
            panic!("no type")
        };
        change(&mut entry);
        decide::put(None, Entry::Type(entry), None, &decide::Surroundings::default(), 1)
            .map(drop)
            .map_err(|refused| refused.detail)
    };
    assert_eq!(check(|_| {}), Ok(()));
    assert!(
        check(|entry| entry.properties.clear())
            .unwrap_err()
            .contains("at least one property")
    );
    assert!(
        check(|entry| entry.title = " x".to_owned())
            .unwrap_err()
            .contains("without spaces")
    );
    let wrong_range = check(|entry| {
        for property in entry.properties.values_mut() {
            property.minimum = Some(200.0);
        }
    });
    assert_eq!(
        wrong_range.unwrap_err(),
        "`temperature` has the minimum 200 above its maximum 100"
    );
}

use std::sync::Arc;

use super::*;
use common::messages::instance::{Instance, InstanceState};
use common::messages::registry::Entry;
use common::{LocationId, ScheduleId, SensorId, UserId};
use runtime::memory::{MemoryBus, envelope, feed_twice};
use runtime::store::MemoryDocuments;
use serde_json::json;

use crate::delivery::Position;

struct World {
    memory: Arc<MemoryBus>,
    bindings: Bindings,
    instance: InstanceId,
}

fn sensor(name: &str, location: &str) -> Entry {
    serde_json::from_value(json!({
        "entry": "sensor", "id": SensorId::derive(&[name]), "name": name, "type": "temperature",
        "location": LocationId::derive(&[location]), "connector": SensorId::derive(&["c"]),
        "created": "2026-01-01T00:00:00Z", "version": 1
    }))
    .unwrap()
}

fn place() -> Vec<Entry> {
    [
        json!({"entry": "type", "name": "temperature", "title": "T", "kind": "sensor", "properties": {"t": {}}}),
        json!({"entry": "location", "id": LocationId::derive(&["lab"]), "name": "Lab", "kind": "room"}),
        json!({"entry": "location", "id": LocationId::derive(&["hall"]), "name": "Hall", "kind": "room"}),
    ]
    .into_iter()
    .map(|entry| serde_json::from_value(entry).unwrap())
    .collect()
}

fn with(sensors: &[(&str, &str)]) -> Vec<Entry> {
    let mut entries = place();
    entries.extend(sensors.iter().map(|(name, location)| sensor(name, location)));
    entries
}

impl World {
    fn new(entries: Vec<Entry>) -> Self {
        let (memory, bus) = MemoryBus::bus("sensor-manager");
        let documents = Arc::new(MemoryDocuments::default());
        let hub = Hub::default();
        hub.begin(&Position::from([(0, 7)]));
        Self {
            memory,
            instance: InstanceId::new(),
            bindings: Bindings {
                bindings: Entities::new(documents.clone(), bus.clone()),
                sessions: Sessions {
                    leases: Entities::new(documents.clone(), bus.clone()),
                    checkpoints: Entities::new(documents, bus.clone()),
                },
                directory: Directory::of(entries),
                hub,
                bus,
                changes: broadcast::channel(16).0,
            },
        }
    }

    fn spec() -> InstanceSpec {
        let manifest = json!({
            "manifest": 1, "name": "app", "title": "App", "version": "1.0.0", "runtime": {"python": "3"}, "start": ["x"], "carry": true,
            "slots": {"t": {"sensor": "temperature"}}
        });
        serde_json::from_value(json!({
            "schedule": ScheduleId::new(), "schedule_name": "s", "due": "2026-01-01T00:00:00Z",
            "version": {"application": ScheduleId::new(), "version": ScheduleId::new(), "number": "1.0.0",
                        "developer": UserId::new(), "manifest": manifest},
            "location": LocationId::derive(&["lab"]), "location_path": "Lab", "parameters": {}, "owner": UserId::new()
        }))
        .unwrap()
    }

    async fn start(&self) {
        let command = InstanceCommand::Start {
            id: self.instance,
            spec: Box::new(Self::spec()),
        };
        feed_twice(&self.bindings, &envelope(command)).await.unwrap();
    }

    async fn instance(&self, state: InstanceState) {
        let instance = Instance {
            id: self.instance,
            spec: Self::spec(),
            state,
            since: Timestamp::from_millis(0),
            started: None,
            ended: None,
            restarts: 0,
            endpoints: Vec::new(),
            version: 1,
        };
        let event = InstanceEvent::Changed {
            instance: Box::new(instance),
        };
        feed_twice(&self.bindings, &envelope(event)).await.unwrap();
    }

    async fn registry(&self, sensors: &[(&str, &str)]) {
        self.bindings.directory.replace(with(sensors));
        self.bindings.reconcile().await.unwrap();
        self.bindings.reconcile().await.unwrap();
    }

    /// What was told, in words.
    fn told(&self) -> Vec<String> {
        let events = self.memory.distinct::<BindingEvent>();
        let words = events
            .iter()
            .map(|BindingEvent::Changed { binding }| match &binding.state {
                BindingState::Bound { slots } => {
                    let names: Vec<&str> = slots["t"].members.iter().map(|member| member.name.as_str()).collect();
                    format!("bound {}", names.join(","))
                }
                BindingState::Unsatisfied { missing } => format!("unsatisfied {}", missing[0]),
                BindingState::Released => "released".to_owned(),
            });
        words.collect()
    }

    async fn record(&self) -> BindingRecord {
        let id = self.instance.to_string();
        self.bindings.bindings.get(&id).await.unwrap().unwrap().entity
    }
}

#[tokio::test]
async fn a_bound_instance_follows_its_place_until_it_is_over() {
    let world = World::new(with(&[("north", "lab"), ("far", "hall")]));
    world.start().await;
    assert_eq!(world.record().await.start, Position::from([(0, 7)]));
    world.instance(InstanceState::Running).await;
    world.registry(&[("north", "lab"), ("far", "lab")]).await;
    world.registry(&[]).await;
    world.registry(&[("north", "lab")]).await;
    world.instance(InstanceState::Succeeded).await;
    world.registry(&[]).await;
    world.start().await;
    let told = ["bound north", "bound far,north", "bound ", "bound north", "released"];
    assert_eq!(world.told(), told);
    let due = world.record().await.lineage.map(|lineage| lineage.due.to_string());
    assert_eq!(due.as_deref(), Some("2026-01-01T00:00:00.000Z"));
}

#[tokio::test]
async fn one_that_lacks_something_waits_for_it_and_its_readings_begin_when_it_is_bound() {
    let world = World::new(with(&[("far", "hall")]));
    world.start().await;
    world.bindings.hub.begin(&Position::from([(0, 20)]));
    world.registry(&[("north", "lab")]).await;
    let told = ["unsatisfied `t` needs 1 temperature sensor, Lab has 0", "bound north"];
    assert_eq!(world.told(), told);
    assert_eq!(world.record().await.start, Position::from([(0, 20)]));
    let versions: Vec<u64> = world
        .memory
        .distinct::<BindingEvent>()
        .iter()
        .map(|BindingEvent::Changed { binding }| binding.version)
        .collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

#[tokio::test]
async fn an_instance_that_was_over_before_it_began_is_never_bound() {
    let world = World::new(with(&[("north", "lab")]));
    world
        .instance(InstanceState::Stopped {
            why: "asked".to_owned(),
        })
        .await;
    world.start().await;
    assert_eq!(world.told(), ["released"]);
    let gone = envelope(InstanceEvent::Deleted { id: world.instance });
    feed_twice(&world.bindings, &gone).await.unwrap();
    assert_eq!(world.memory.records().last().unwrap().payload, None);
}

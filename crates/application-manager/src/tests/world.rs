//! A small installation: a building with a lab, an application that runs there, and people of each kind.

use std::collections::BTreeMap;

use common::manifest::ThingKind;
use common::messages::application::{
    Application, ApplicationEvent, ApplicationVersion, BundleRef, Listed, VersionState,
};
use common::messages::binding::{Binding, BindingEvent, BindingState, BoundMember, BoundSlot};
use common::messages::instance::{Instance, InstanceEvent, InstanceSpec, InstanceState};
use common::messages::registry::{Connector, Device, Entry, Grant, Location, RegistryEvent, Right, Sensor};
use common::messages::schedule::{Schedule, ScheduleEvent, ScheduleSpec, ScheduleStatus, VersionRef};
use common::messages::user::Role;
use common::schedule::{Policies, When};
use common::{
    ApplicationId, ConnectorId, DeviceId, InstanceId, LocationId, ScheduleId, SensorId, Timestamp, UserId, VersionId,
};
use serde_json::json;

use super::rig::Rig;
use crate::view::Fold as _;

/// Ids of the world.
pub(super) struct World {
    pub(super) building: LocationId,
    pub(super) lab: LocationId,
    pub(super) connector: ConnectorId,
    pub(super) sensor: SensorId,
    pub(super) device: DeviceId,
    pub(super) schedule: ScheduleId,
    pub(super) instance: InstanceId,
    /// Sessions by name of the person.
    pub(super) sessions: BTreeMap<&'static str, String>,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + seconds * 1000)
}

impl World {
    /// Builds it: `olga` owns sensors and manages the building, `eva` may use it and runs what `dora` developed; `ned` has no
    /// role, `sam` has every role but admin and no grant, `fritz` has a one-time password.
    pub(super) async fn build(rig: &Rig) -> Self {
        let mut sessions = BTreeMap::new();
        let mut ids = BTreeMap::new();
        let others = [Role::SensorOwner, Role::Developer, Role::EndUser];
        let people: [(&'static str, &[Role], bool); 7] = [
            ("admin", &[Role::Admin], false),
            ("olga", &[Role::SensorOwner], false),
            ("dora", &[Role::Developer], false),
            ("eva", &[Role::EndUser], false),
            ("ned", &[], false),
            ("sam", &others, false),
            ("fritz", &[Role::Admin], true),
        ];
        for (name, roles, must_change) in people {
            let (user, session) = rig.user(name, roles, must_change).await;
            sessions.insert(name, session);
            ids.insert(name, user.id);
        }
        let world = Self {
            building: LocationId::derive(&["building"]),
            lab: LocationId::derive(&["lab"]),
            connector: ConnectorId::derive(&["connector"]),
            sensor: SensorId::derive(&["sensor"]),
            device: DeviceId::derive(&["device"]),
            schedule: ScheduleId::derive(&["schedule"]),
            instance: InstanceId::derive(&["instance"]),
            sessions,
        };
        world.registry(rig, ids["olga"], ids["eva"]);
        world.running(rig, ids["dora"], ids["eva"]);
        world
    }

    fn registry(&self, rig: &Rig, owner: UserId, user: UserId) {
        let grant = |right, user| Grant {
            right,
            user: Some(user),
        };
        let location = |id, name: &str, parent, grants| {
            Entry::Location(Location {
                id,
                name: name.to_owned(),
                kind: "place".to_owned(),
                parent,
                grants,
                version: 1,
            })
        };
        let kind = |value: serde_json::Value| Entry::Type(serde_json::from_value(value).unwrap());
        let grants = vec![grant(Right::Manage, owner), grant(Right::Use, user)];
        let entries = [
            location(self.building, "Building A", None, grants),
            location(self.lab, "Lab", Some(self.building), Vec::new()),
            kind(json!({
                "name": "temperature", "title": "Temperature", "kind": "sensor", "version": 1,
                "properties": { "temperature": { "unit": "Cel" } }
            })),
            kind(json!({
                "name": "fan", "title": "Fan", "kind": "device", "version": 1,
                "commands": { "switch": { "title": "Switch", "arguments": { "on": { "type": "boolean" } } } }
            })),
            Entry::Connector(Connector {
                id: self.connector,
                name: "Board 1".to_owned(),
                location: self.lab,
                secret_sha256: "0".repeat(64),
                created: at(0),
                version: 1,
            }),
            Entry::Sensor(Sensor {
                id: self.sensor,
                name: "Lab north".to_owned(),
                type_name: "temperature".parse().unwrap(),
                location: self.lab,
                connector: self.connector,
                created: at(1),
                version: 1,
            }),
            Entry::Device(Device {
                id: self.device,
                name: "Lab fan".to_owned(),
                type_name: "fan".parse().unwrap(),
                location: self.lab,
                connector: self.connector,
                created: at(2),
                version: 1,
            }),
        ];
        for entry in entries {
            rig.app.view.change(|view| view.fold(&RegistryEvent::Changed { entry }));
        }
    }

    fn running(&self, rig: &Rig, developer: UserId, user: UserId) {
        let manifest: common::manifest::Manifest = serde_json::from_value(json!({
            "manifest": 1, "name": "room-comfort", "title": "Room comfort", "version": "1.0.0",
            "runtime": { "python": "3" }, "start": ["python", "main.py"], "page": { "port": 8080 },
            "slots": { "temperature": { "sensor": "temperature" }, "fan": { "device": "fan", "max": 1 } },
            "parameters": { "threshold": { "type": "number", "default": 24.0, "maximum": 100.0 } }
        }))
        .unwrap();
        let application = ApplicationId::derive(&["application", "room-comfort"]);
        let version = VersionId::derive(&["version"]);
        let reference = VersionRef {
            application,
            version,
            number: "1.0.0".to_owned(),
            developer,
            manifest: manifest.clone(),
        };
        let view = &rig.app.view;
        let application = Box::new(Application {
            id: application,
            name: "room-comfort".to_owned(),
            title: "Room comfort".to_owned(),
            description: "Keeps a room comfortable".to_owned(),
            owner: developer,
            listed: Listed::Named { users: vec![user] },
            versions: vec![ApplicationVersion {
                id: version,
                number: "1.0.0".to_owned(),
                manifest,
                bundle: BundleRef {
                    sha256: "0".repeat(64),
                    size_bytes: 1000,
                },
                uploaded: at(10),
                state: VersionState::Ready {
                    image: "127.0.0.1:5000/room-comfort@sha256:0".to_owned(),
                },
            }],
            version: 3,
            created: at(10),
            updated: at(20),
        });
        view.change(|view| view.fold(&ApplicationEvent::Changed { application }));
        self.scheduled(rig, user, reference);
    }

    fn scheduled(&self, rig: &Rig, owner: UserId, version: VersionRef) {
        let view = &rig.app.view;
        let schedule = Box::new(Schedule {
            id: self.schedule,
            owner,
            spec: ScheduleSpec {
                name: "Lab comfort".to_owned(),
                version: version.clone(),
                location: self.lab,
                location_path: "Building A / Lab".to_owned(),
                parameters: BTreeMap::new(),
                when: When::Now,
                policies: Policies::default(),
            },
            status: ScheduleStatus::Finished,
            next_due: None,
            last: None,
            skipped: 0,
            recent_skips: Vec::new(),
            created: at(30),
            version: 2,
        });
        view.change(|view| view.fold(&ScheduleEvent::Changed { schedule }));
        let instance = Box::new(Instance {
            id: self.instance,
            spec: InstanceSpec {
                schedule: self.schedule,
                schedule_name: "Lab comfort".to_owned(),
                due: at(31),
                version,
                location: self.lab,
                location_path: "Building A / Lab".to_owned(),
                parameters: BTreeMap::new(),
                owner,
                stop_at: None,
            },
            state: InstanceState::Running,
            since: at(33),
            started: Some(at(33)),
            ended: None,
            restarts: 0,
            endpoints: Vec::new(),
            version: 4,
        });
        view.change(|view| view.fold(&InstanceEvent::Changed { instance }));
        let member = BoundMember {
            id: self.sensor.uuid(),
            name: "Lab north".to_owned(),
            type_name: "temperature".to_owned(),
            location: "Building A / Lab".to_owned(),
        };
        let slot = BoundSlot {
            kind: ThingKind::Sensor,
            members: vec![member],
        };
        let binding = Box::new(Binding {
            instance: self.instance,
            state: BindingState::Bound {
                slots: BTreeMap::from([("temperature".to_owned(), slot)]),
            },
            version: 1,
        });
        view.change(|view| view.fold(&BindingEvent::Changed { binding }));
    }
}

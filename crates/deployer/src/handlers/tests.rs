use std::sync::Arc;

use common::messages::application::{ApplicationCommand, ApplicationEvent, VersionState};
use common::messages::binding::BindingEvent;
use common::messages::instance::{InstanceCommand, InstanceEvent, InstanceState};
use common::messages::operation::{OperationEvent, Refusal, Requester};
use common::{OperationId, UserId};
use runtime::memory::{MemoryBus, envelope, feed_twice};
use runtime::store::MemoryDocuments;
use runtime::{Change, Entities};
use tokio::sync::Notify;

use super::*;
use crate::instance::tests::{bound, id, spec};
use crate::records::{Build, InstanceRecord, VersionRecord};
use crate::versions::tests::application;

struct Desk {
    memory: Arc<MemoryBus>,
    commands: Commands,
    bindings: Bindings,
    applications: Applications,
}

fn desk() -> Desk {
    let (memory, bus) = MemoryBus::bus("deployer");
    let documents = Arc::new(MemoryDocuments::default());
    let instances = Entities::<InstanceRecord>::new(documents.clone(), bus.clone());
    let versions = Entities::<VersionRecord>::new(documents, bus.clone());
    let wake = Arc::new(Notify::new());
    Desk {
        memory,
        commands: Commands {
            instances: instances.clone(),
            bus: bus.clone(),
            wake: wake.clone(),
        },
        bindings: Bindings {
            instances,
            wake: wake.clone(),
        },
        applications: Applications {
            versions,
            bus,
            wake,
            discarded: Arc::default(),
        },
    }
}

fn start() -> InstanceCommand {
    InstanceCommand::Start {
        id: id(),
        spec: Box::new(spec()),
    }
}

fn stop(operation: OperationId) -> InstanceCommand {
    let by = Some(Requester {
        user: UserId::derive(&["u"]),
        operation,
    });
    InstanceCommand::Stop {
        id: id(),
        why: "stopped by Ann".to_owned(),
        by,
    }
}

async fn record(desk: &Desk) -> InstanceRecord {
    desk.commands
        .instances
        .get(&id().to_string())
        .await
        .unwrap()
        .unwrap()
        .entity
}

#[tokio::test]
async fn a_start_is_told_once_and_stopped_at_once() {
    let desk = desk();
    feed_twice(&desk.commands, &envelope(start())).await.unwrap();
    feed_twice(&desk.commands, &envelope(start())).await.unwrap();
    let operation = OperationId::new();
    feed_twice(&desk.commands, &envelope(stop(operation))).await.unwrap();
    let again = OperationId::new();
    feed_twice(&desk.commands, &envelope(stop(again))).await.unwrap();
    let events = desk.memory.distinct::<InstanceEvent>();
    let states: Vec<(String, u64)> = events
        .iter()
        .map(|event| match event {
            InstanceEvent::Changed { instance } => (instance.state.name().to_owned(), instance.version),
            InstanceEvent::Deleted { .. } => panic!(),
        })
        .collect();
    let [(first, one), (second, two)] = states.as_slice() else {
        panic!("{states:?}")
    };
    assert_eq!((first.as_str(), second.as_str()), ("requested", "stopped"));
    assert!(one < two);
    let answers = desk.memory.distinct::<OperationEvent>();
    assert!(
        matches!(answers.as_slice(), [OperationEvent::Done { id: a, .. }, OperationEvent::Done { id: b, .. }] if *a == operation && *b == again)
    );
}

#[tokio::test]
async fn a_stop_of_nothing_is_refused() {
    let desk = desk();
    let operation = OperationId::new();
    feed_twice(&desk.commands, &envelope(stop(operation))).await.unwrap();
    let expected = OperationEvent::Refused {
        id: operation,
        reason: Refusal::NotFound,
        detail: "there is no such instance".to_owned(),
    };
    assert_eq!(desk.memory.distinct::<OperationEvent>(), [expected]);
}

#[tokio::test]
async fn a_binding_may_come_first() {
    let desk = desk();
    let binding = |version| {
        envelope(BindingEvent::Changed {
            binding: Box::new(bound(version)),
        })
    };
    feed_twice(&desk.bindings, &binding(2)).await.unwrap();
    assert!(!record(&desk).await.is_live());
    feed_twice(&desk.commands, &envelope(start())).await.unwrap();
    feed_twice(&desk.bindings, &binding(1)).await.unwrap();
    let record = record(&desk).await;
    assert_eq!(record.binding.clone().unwrap().version, 2);
    assert_eq!(record.instance.clone().unwrap().state, InstanceState::Requested);
    assert!(record.is_live());
}

#[tokio::test]
async fn versions_are_recorded_reported_again_and_forgotten() {
    let desk = desk();
    let building = application(VersionState::Building);
    let event = || {
        envelope(ApplicationEvent::Changed {
            application: Box::new(building.clone()),
        })
    };
    feed_twice(&desk.applications, &event()).await.unwrap();
    let version = building.versions[0].id.to_string();
    let versions = &desk.applications.versions;
    let stored = versions.get(&version).await.unwrap().unwrap();
    assert_eq!(
        stored.entity.build,
        Build::Wanted {
            attempt: 0,
            not_before: None
        }
    );
    assert_eq!(desk.memory.messages::<ApplicationCommand>(), []);

    let ready = VersionRecord {
        build: Build::Ready {
            image: "r/i@sha256:1".to_owned(),
        },
        ..stored.entity
    };
    let put = |_: Option<&VersionRecord>, _| {
        Ok::<_, String>(Change::Put {
            entity: ready.clone(),
            records: Vec::new(),
        })
    };
    versions.apply(&version, None, put).await.unwrap();
    feed_twice(&desk.applications, &event()).await.unwrap();
    assert_eq!(desk.memory.distinct::<ApplicationCommand>().len(), 1);

    feed_twice(
        &desk.applications,
        &envelope(ApplicationEvent::Deleted { id: building.id }),
    )
    .await
    .unwrap();
    let discarded = Build::Discarded {
        image: Some("r/i@sha256:1".to_owned()),
    };
    assert_eq!(versions.get(&version).await.unwrap().unwrap().entity.build, discarded);
}

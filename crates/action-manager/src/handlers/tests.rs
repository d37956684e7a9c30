use std::collections::BTreeMap;

use super::*;
use crate::announce::Cause;
use crate::channels::Channels;
use crate::reconcile::Reconciler;
use crate::store::{Asked, Told};
use crate::storm::{MOST_PER_MINUTE, Storm};
use crate::view::{InstanceFacts, View};
use common::messages::action::{
    ActionEvent, ActionRequest, Command, CommandState, DeviceCommand, DeviceEvent, Notification, Origin, Severity,
};
use common::messages::operation::{OperationEvent, Refusal};
use common::messages::registry::CommandSpec;
use common::{ActionId, DeviceId, Envelope, InstanceId, MessageId, OperationId, Timestamp, UserId};
use runtime::memory::{MemoryBus, envelope, feed_twice};
use runtime::store::MemoryDocuments;
use runtime::{Bus, Entities, HandleError, Handler as _};
use std::sync::Arc;

struct World {
    memory: Arc<MemoryBus>,
    bus: Bus,
    requests: Requests,
    reconciler: Reconciler,
    instance: InstanceId,
    device: DeviceId,
}

impl World {
    fn new() -> Self {
        let (memory, bus) = MemoryBus::bus("action-manager");
        let documents = Arc::new(MemoryDocuments::default());
        let commands: Entities<Asked> = Entities::new(documents.clone(), bus.clone());
        let notifications: Entities<Told> = Entities::new(documents, bus.clone());
        let view = Arc::new(View::default());
        let (instance, device) = (InstanceId::new(), DeviceId::new());
        let facts = InstanceFacts {
            owner: UserId::new(),
            application: "Room comfort".to_owned(),
            over: false,
            version: 1,
        };
        let mut known = view.write();
        known.instances.insert(instance, facts);
        known.devices.insert(device, "fan".to_owned());
        let switch = CommandSpec {
            title: None,
            arguments: BTreeMap::new(),
        };
        known
            .types
            .insert("fan".to_owned(), BTreeMap::from([("switch".to_owned(), switch)]));
        drop(known);
        let channels = Arc::new(Channels::from_settings(&crate::channels::tests::settings(false)));
        let storm = Arc::new(Storm::default());
        let requests = Requests {
            view: view.clone(),
            bus: bus.clone(),
            commands: commands.clone(),
            notifications: notifications.clone(),
            channels: channels.clone(),
            storm: storm.clone(),
            wake: Arc::default(),
        };
        let reconciler = Reconciler {
            view,
            bus: bus.clone(),
            commands,
            notifications,
            channels,
            storm,
            history_hours: 24,
        };
        Self {
            memory,
            bus,
            requests,
            reconciler,
            instance,
            device,
        }
    }

    fn device_events(&self) -> DeviceEvents {
        DeviceEvents::new(self.reconciler.commands.clone(), self.bus.clone())
    }

    fn command(&self, origin: Origin, name: &str) -> ActionRequest {
        let at = Timestamp::now();
        ActionRequest::Command {
            id: ActionId::new(),
            origin,
            device: self.device,
            command: name.to_owned(),
            arguments: BTreeMap::new(),
            at,
            expires: at.plus_millis(60_000),
        }
    }

    fn notify(&self, at: Timestamp) -> ActionRequest {
        ActionRequest::Notify {
            id: ActionId::new(),
            instance: self.instance,
            title: "warm".to_owned(),
            text: String::new(),
            severity: Severity::Info,
            at,
        }
    }

    fn commands(&self) -> Vec<Command> {
        let events = self.memory.distinct::<ActionEvent>();
        events
            .into_iter()
            .filter_map(|event| match event {
                ActionEvent::Command { command } => Some(*command),
                ActionEvent::Notification { .. } => None,
            })
            .collect()
    }

    fn notifications(&self) -> Vec<Notification> {
        let events = self.memory.distinct::<ActionEvent>();
        events
            .into_iter()
            .filter_map(|event| match event {
                ActionEvent::Notification { notification } => Some(*notification),
                ActionEvent::Command { .. } => None,
            })
            .collect()
    }
}

#[tokio::test]
async fn a_command_is_executed_acknowledged_and_forgotten() {
    let world = World::new();
    let request = world.command(
        Origin::Instance {
            instance: world.instance,
        },
        "switch",
    );
    feed_twice(&world.requests, &envelope(request)).await.unwrap();
    let (command, device) = (world.commands()[0].id, world.device);
    let events = world.device_events();
    let at = Timestamp::now();
    feed_twice(&events, &envelope(DeviceEvent::Sent { command, device, at }))
        .await
        .unwrap();
    let acknowledged = DeviceEvent::Acknowledged {
        command,
        device,
        reported: BTreeMap::new(),
        at,
    };
    feed_twice(&events, &envelope(acknowledged)).await.unwrap();
    // A report that comes late changes nothing, nor does one of a command that nobody knows.
    feed_twice(
        &events,
        &envelope(DeviceEvent::Failed {
            command,
            device,
            why: "x".to_owned(),
            at,
        }),
    )
    .await
    .unwrap();
    let unknown = DeviceEvent::Sent {
        command: ActionId::new(),
        device,
        at,
    };
    feed_twice(&events, &envelope(unknown)).await.unwrap();
    let states: Vec<&str> = world
        .commands()
        .iter()
        .map(|command| crate::command::name(&command.state))
        .collect();
    assert_eq!(states, ["queued", "sent", "acknowledged"]);
    let told = world.memory.distinct::<DeviceCommand>();
    assert!(
        matches!(
            told.as_slice(),
            [DeviceCommand::Execute { .. }, DeviceCommand::Forget { .. }]
        ),
        "{told:?}"
    );
    assert!(world.memory.messages::<OperationEvent>().is_empty());
}

#[tokio::test]
async fn a_persons_command_is_answered() {
    let world = World::new();
    let origin = || Origin::User {
        user: UserId::new(),
        operation: OperationId::new(),
    };
    feed_twice(&world.requests, &envelope(world.command(origin(), "switch")))
        .await
        .unwrap();
    feed_twice(&world.requests, &envelope(world.command(origin(), "explode")))
        .await
        .unwrap();
    let answers = world.memory.distinct::<OperationEvent>();
    assert!(matches!(&answers[0], OperationEvent::Done { version: Some(1), .. }));
    let OperationEvent::Refused {
        reason: Refusal::Invalid,
        detail,
        ..
    } = &answers[1]
    else {
        panic!("{answers:?}");
    };
    assert_eq!(detail, "`fan` has no command `explode`; it has: switch");
    assert_eq!((answers.len(), world.commands().len()), (2, 1));
}

#[tokio::test]
async fn a_command_for_a_device_that_is_gone_fails_and_one_that_is_old_expires() {
    let world = World::new();
    let origin = Origin::Instance {
        instance: world.instance,
    };
    let mut old = world.command(origin.clone(), "switch");
    if let ActionRequest::Command { expires, .. } = &mut old {
        *expires = Timestamp::from_millis(0);
    }
    feed_twice(&world.requests, &envelope(old)).await.unwrap();
    world.requests.view.write().devices.clear();
    feed_twice(&world.requests, &envelope(world.command(origin, "switch")))
        .await
        .unwrap();
    let commands = world.commands();
    assert_eq!(commands[0].state, CommandState::Expired);
    assert!(matches!(&commands[1].state, CommandState::Failed { why } if why == "the device is not registered"));
    assert!(
        world.memory.messages::<DeviceCommand>().is_empty(),
        "the device hears of neither"
    );
}

#[tokio::test]
async fn time_runs_out_once() {
    let world = World::new();
    let request = world.command(
        Origin::Instance {
            instance: world.instance,
        },
        "switch",
    );
    feed_twice(&world.requests, &envelope(request)).await.unwrap();
    world.reconciler.expire(Timestamp::now()).await.unwrap();
    assert_eq!(world.commands().len(), 1);
    for _ in 0..2 {
        world
            .reconciler
            .expire(Timestamp::now().plus_millis(61_000))
            .await
            .unwrap();
    }
    assert_eq!(world.commands()[1].state, CommandState::Expired);
    assert_eq!(world.memory.distinct::<DeviceCommand>().len(), 2);
    // A day later it is forgotten, with a tombstone.
    world
        .reconciler
        .forget(Timestamp::now().plus_millis(25 * 3_600_000))
        .await
        .unwrap();
    assert!(
        world
            .memory
            .records()
            .iter()
            .any(|record| record.topic == "action.events" && record.payload.is_none())
    );
    assert!(world.reconciler.commands.list(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_notification_is_on_the_console_at_once_and_a_storm_is_said_once() {
    let world = World::new();
    let at = Timestamp::from_millis(600_000);
    for _ in 0..MOST_PER_MINUTE + 5 {
        feed_twice(&world.requests, &envelope(world.notify(at))).await.unwrap();
    }
    let told = world.notifications();
    assert_eq!(told.len(), MOST_PER_MINUTE + 1);
    assert_eq!(told[0].application, "Room comfort");
    assert_eq!(told[0].deliveries.len(), 1);
    assert_eq!(told[MOST_PER_MINUTE].title, "Too many notifications");
    for _ in 0..2 {
        world.reconciler.count_held(at.plus_millis(180_000)).await.unwrap();
    }
    let last = world.notifications().pop().unwrap();
    assert_eq!(last.id, told[MOST_PER_MINUTE].id);
    assert!(last.text.ends_with("5 more were held back."), "{}", last.text);
    assert_eq!(world.notifications().len(), MOST_PER_MINUTE + 2);
}

#[tokio::test]
async fn a_notification_waits_for_news_of_its_instance_but_not_for_ever() {
    let world = World::new();
    world.requests.view.write().instances.clear();
    let fresh = envelope(world.notify(Timestamp::now()));
    assert!(matches!(
        world.requests.handle(&fresh).await,
        Err(HandleError::Retry(_))
    ));
    let old = Envelope::first(
        MessageId::new(),
        "test",
        Timestamp::now().plus_millis(-31_000),
        fresh.message,
    );
    assert!(matches!(world.requests.handle(&old).await, Err(HandleError::Reject(_))));
    assert_eq!(Cause::from(&old).message, Some(old.id));
}

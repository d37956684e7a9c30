use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::book::Book;
use crate::due::tests::{at, cron, tracked};
use crate::store::Tracked;
use crate::ticker::Ticker;
use common::messages::instance::{Instance, InstanceCommand, InstanceEvent, InstanceState};
use common::messages::operation::{OperationEvent, Requester};
use common::messages::schedule::{ScheduleCommand, ScheduleEvent, ScheduleStatus};
use common::schedule::{Missed, Overlap, Policies, When};
use common::{InstanceId, OperationId, ScheduleId, Timestamp, UserId};
use runtime::memory::{MemoryBus, envelope, feed_twice};
use runtime::store::MemoryDocuments;
use runtime::{Bus, Change, Entities, Handler as _};

struct World {
    memory: Arc<MemoryBus>,
    bus: Bus,
    schedules: Entities<Tracked>,
    book: Arc<Book>,
}

impl World {
    fn new() -> Self {
        let (memory, bus) = MemoryBus::bus("scheduler");
        let schedules = Entities::new(Arc::new(MemoryDocuments::default()), bus.clone());
        Self {
            memory,
            bus,
            schedules,
            book: Arc::default(),
        }
    }

    fn commands(&self) -> ScheduleCommands {
        ScheduleCommands::new(self.schedules.clone(), self.bus.clone(), self.book.clone())
    }

    /// A scheduler that has just started: it knows what is in the store.
    async fn restarted(&self) -> Ticker {
        let ticker = Ticker::new(self.schedules.clone(), self.bus.clone(), Arc::default());
        ticker.reload().await.unwrap();
        ticker
    }

    fn started(&self) -> Vec<(InstanceId, Timestamp)> {
        let commands = self.memory.distinct::<InstanceCommand>();
        commands
            .into_iter()
            .filter_map(|command| match command {
                InstanceCommand::Start { id, spec } => Some((id, spec.due)),
                InstanceCommand::Stop { .. } => None,
            })
            .collect()
    }

    async fn get(&self, id: ScheduleId) -> Tracked {
        self.schedules.get(&id.to_string()).await.unwrap().unwrap().entity
    }

    async fn put(&self, entity: Tracked) {
        let id = entity.schedule.id.to_string();
        let put = |_: Option<&Tracked>, _| {
            Ok::<_, String>(Change::Put {
                entity: entity.clone(),
                records: vec![],
            })
        };
        self.schedules.apply(&id, None, put).await.unwrap();
    }
}

fn by() -> Requester {
    Requester {
        user: UserId::new(),
        operation: OperationId::new(),
    }
}

fn create(id: ScheduleId, by: &Requester, when: When) -> ScheduleCommand {
    let spec = tracked(when, Policies::default(), Timestamp::now()).schedule.spec;
    ScheduleCommand::Create {
        id,
        by: by.clone(),
        owner: by.user,
        spec: Box::new(spec),
    }
}

#[tokio::test]
async fn now_is_one_start_however_often_the_command_comes() {
    let world = World::new();
    let (id, by) = (ScheduleId::new(), by());
    feed_twice(&world.commands(), &envelope(create(id, &by, When::Now)))
        .await
        .unwrap();
    assert_eq!(world.started().len(), 1);
    let events = world.memory.distinct::<ScheduleEvent>();
    let [ScheduleEvent::Changed { schedule }] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(schedule.status, ScheduleStatus::Finished);
    assert_eq!(schedule.last.as_ref().unwrap().instance, world.started()[0].0);
    let done = OperationEvent::Done {
        id: by.operation,
        version: Some(schedule.version),
    };
    assert_eq!(world.memory.distinct::<OperationEvent>(), [done]);
}

#[tokio::test]
async fn refusals_are_answered_and_change_nothing() {
    let world = World::new();
    let (id, by) = (ScheduleId::new(), by());
    feed_twice(&world.commands(), &envelope(create(id, &by, cron("0 0 30 2 *"))))
        .await
        .unwrap();
    feed_twice(
        &world.commands(),
        &envelope(ScheduleCommand::Pause { id, by: by.clone() }),
    )
    .await
    .unwrap();
    let answers = world.memory.distinct::<OperationEvent>();
    assert_eq!(answers.len(), 2);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, OperationEvent::Refused { .. })),
        "{answers:?}"
    );
    assert!(world.memory.messages::<ScheduleEvent>().is_empty());
}

#[tokio::test]
async fn pause_resume_delete() {
    let world = World::new();
    let (id, by) = (ScheduleId::new(), by());
    let commands = world.commands();
    for command in [
        create(id, &by, cron("0 8 * * *")),
        ScheduleCommand::Pause { id, by: by.clone() },
        ScheduleCommand::Resume { id, by: by.clone() },
        ScheduleCommand::Delete { id, by: by.clone() },
    ] {
        feed_twice(&commands, &envelope(command)).await.unwrap();
    }
    let events = world.memory.distinct::<ScheduleEvent>();
    let statuses: Vec<_> = events
        .iter()
        .map(|event| match event {
            ScheduleEvent::Changed { schedule } => Some(schedule.status),
            ScheduleEvent::Deleted { .. } => None,
        })
        .collect();
    use ScheduleStatus::{Active, Paused};
    assert_eq!(statuses, [Some(Active), Some(Paused), Some(Active), None]);
    assert!(
        world
            .memory
            .records()
            .iter()
            .any(|record| record.topic == "schedule.events" && record.payload.is_none())
    );
    let answers = world.memory.distinct::<OperationEvent>();
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, OperationEvent::Done { .. })),
        "{answers:?}"
    );
    assert!(world.schedules.get(&id.to_string()).await.unwrap().is_none());
    assert!(world.book.is_empty());
}

fn ended(id: InstanceId, schedule: &Tracked, due: Timestamp) -> InstanceEvent {
    let spec = &schedule.schedule.spec;
    InstanceEvent::Changed {
        instance: Box::new(Instance {
            id,
            spec: common::messages::instance::InstanceSpec {
                schedule: schedule.schedule.id,
                schedule_name: spec.name.clone(),
                due,
                version: spec.version.clone(),
                location: spec.location,
                location_path: spec.location_path.clone(),
                parameters: spec.parameters.clone(),
                owner: schedule.schedule.owner,
                stop_at: None,
            },
            state: InstanceState::Succeeded,
            since: due,
            started: None,
            ended: None,
            restarts: 0,
            endpoints: vec![],
            version: 1,
        }),
    }
}

#[tokio::test]
async fn the_next_occurrence_waits_for_the_end_of_the_one_before() {
    let world = World::new();
    let schedule = tracked(cron("* * * * *"), Policies::default(), at("2026-01-01T00:00:00Z"));
    let id = schedule.schedule.id;
    world.put(schedule.clone()).await;
    let ticker = world.restarted().await;
    ticker.tick(at("2026-01-01T00:01:00Z")).await;
    ticker.tick(at("2026-01-01T00:02:00Z")).await;
    assert_eq!(world.started().len(), 1);
    let skips = world.get(id).await.schedule.recent_skips;
    assert_eq!(skips[0].reason, "the instance before it was still running");
    let (instance, due) = world.started()[0];
    feed_twice(
        &InstanceEvents::new(world.schedules.clone()),
        &envelope(ended(instance, &schedule, due)),
    )
    .await
    .unwrap();
    ticker.tick(at("2026-01-01T00:03:00Z")).await;
    assert_eq!(world.started().len(), 2);
    // An instance that is forgotten without having been seen to end is over as well.
    let (instance, _) = world.started()[1];
    InstanceEvents::new(world.schedules.clone())
        .handle(&envelope(InstanceEvent::Deleted { id: instance }))
        .await
        .unwrap();
    ticker.tick(at("2026-01-01T00:04:00Z")).await;
    assert_eq!(world.started().len(), 3);
}

#[tokio::test]
async fn replacing_stops_the_one_before() {
    let world = World::new();
    let policies = Policies {
        overlap: Overlap::Replace,
        ..Policies::default()
    };
    world
        .put(tracked(cron("* * * * *"), policies, at("2026-01-01T00:00:00Z")))
        .await;
    let ticker = world.restarted().await;
    ticker.tick(at("2026-01-01T00:01:00Z")).await;
    ticker.tick(at("2026-01-01T00:02:00Z")).await;
    let first = world.started()[0].0;
    let stops: Vec<_> = world
        .memory
        .distinct::<InstanceCommand>()
        .into_iter()
        .filter(|command| matches!(command, InstanceCommand::Stop { id, .. } if *id == first))
        .collect();
    assert_eq!(stops.len(), 1);
}

#[tokio::test]
async fn two_schedulers_are_harmless() {
    let world = World::new();
    world
        .put(tracked(
            cron("* * * * *"),
            Policies {
                overlap: Overlap::Allow,
                ..Policies::default()
            },
            at("2026-01-01T00:00:00Z"),
        ))
        .await;
    let (one, two) = (world.restarted().await, world.restarted().await);
    for minute in 1..10 {
        let now = at("2026-01-01T00:00:00Z").plus_millis(minute * 60_000);
        tokio::join!(one.tick(now), two.tick(now));
    }
    assert_eq!(world.memory.messages::<InstanceCommand>().len(), 9);
}

/// What happens between two looks at the clock.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Nothing.
    Well,
    /// The process dies before it writes anything; another one starts later.
    DiesBefore,
    /// The process dies between its write and the publishing; another one starts later.
    DiesBetween,
    /// The process dies after publishing, before it notes that it has: Kafka has the records twice.
    DiesAfter,
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    /// kill -9 at any moment: every due moment is started exactly once, or recorded as skipped, never both.
    #[test]
    fn each_occurrence_is_started_exactly_once_over_crashes(
        expression in proptest::sample::select(vec!["* * * * *", "*/5 * * * *", "0,7 * * * *"]),
        missed in proptest::sample::select(vec![Missed::Skip, Missed::Once, Missed::All]),
        steps in proptest::collection::vec((1_i64..200_000, proptest::sample::select(vec![
            Fate::Well, Fate::Well, Fate::DiesBefore, Fate::DiesBetween, Fate::DiesAfter,
        ])), 1..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let created = at("2026-03-28T23:00:00Z");
            let policies = Policies { missed, overlap: Overlap::Allow, stop_after_seconds: None };
            let schedule = tracked(cron(expression), policies, created);
            let id = schedule.schedule.id;
            let when = schedule.schedule.spec.when.clone();
            world.put(schedule).await;
            let mut ticker = world.restarted().await;
            let mut now = created;
            for (step, fate) in steps {
                now = now.plus_millis(step);
                match fate {
                    Fate::Well => ticker.tick(now).await,
                    Fate::DiesBefore => ticker = world.restarted().await,
                    Fate::DiesBetween => {
                        world.memory.set_down(true);
                        ticker.tick(now).await;
                        world.memory.set_down(false);
                        ticker = world.restarted().await;
                        world.schedules.sweep().await.unwrap();
                    }
                    Fate::DiesAfter => {
                        world.memory.set_down(true);
                        ticker.tick(now).await;
                        world.memory.set_down(false);
                        // What the dead process published without noting it: the outbox, before the sweep publishes it again.
                        let before = world.memory.records().len();
                        world.schedules.sweep().await.unwrap();
                        let again = world.memory.records().split_off(before);
                        world.bus.send(&again).await.unwrap();
                        ticker = world.restarted().await;
                    }
                }
            }
            ticker.tick(now).await;
            let started = world.started();
            let instances: BTreeSet<_> = started.iter().map(|(instance, _)| *instance).collect();
            assert_eq!(instances.len(), started.len(), "no instance is asked for under two message ids");
            let mut expected = BTreeSet::new();
            let mut from = created;
            while let Some(due) = common::rules::occurrences::next(&when, from, 1).unwrap().first().copied().filter(|due| *due <= now) {
                expected.insert(due);
                from = due;
            }
            let starts: BTreeSet<_> = started.iter().map(|(_, due)| *due).collect();
            assert!(starts.is_subset(&expected));
            let entity = world.get(id).await;
            assert_eq!(starts.len() as u64 + entity.schedule.skipped, expected.len() as u64);
            for skip in &entity.schedule.recent_skips {
                assert!(!starts.contains(&skip.due), "started and skipped");
            }
            if missed == Missed::All {
                assert_eq!(starts, expected);
            }
        });
    }
}

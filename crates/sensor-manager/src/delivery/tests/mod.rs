//! The gateway as an application sees it, over real sockets.

mod rig;

use std::collections::BTreeMap;

use common::messages::binding::{BindingState, SessionEvent};
use common::{InstanceId, ScheduleId, Timestamp};
use futures_util::SinkExt;
use rig::{App, DEADLINE, World, sensor};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::delivery::carry::Lineage;
use crate::delivery::partition;

async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !check().await {
        assert!(tokio::time::Instant::now() < deadline, "{what} did not come true");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn readings_since_the_binding_are_delivered_and_a_checkpoint_is_where_the_next_session_goes_on() {
    let world = World::new();
    world.log.push(0, 0);
    world.bind(&[0]).await;
    world.log.push(0, 1);
    world.log.push(5, 0);
    let server = world.serve("1");
    let mut app = App::connect(server.address, &world, "replica=a").await.unwrap();
    let opened = app.until("opened").await;
    assert_eq!(opened["binding"]["slots"]["t"]["members"][0]["name"], "sensor 0");
    let reading = app.until("reading").await;
    assert_eq!(reading["slot"], "t");
    assert_eq!(reading["values"]["seq"], 1.0);
    app.until("caught_up").await;
    world.log.push(0, 2);
    world.log.push(0, 2);
    world.log.push(0, 3);
    app.until("reading").await;
    app.checkpoint().await.unwrap();
    assert_eq!(app.until("checkpointed").await["n"], 2);
    drop(app);
    let mut app = App::connect(server.address, &world, "replica=b").await.unwrap();
    app.until("opened").await;
    assert_eq!(app.counted(), 2);
    app.until("reading").await;
    assert_eq!(app.state[&sensor(0).to_string()], [1, 2, 3]);
    assert_eq!(app.session, 2);
    let told = world.memory.distinct::<SessionEvent>();
    assert!(matches!(&told[..], [_, SessionEvent::Opened { session: 2, replica, .. }] if replica == "b"));
}

#[tokio::test]
async fn an_instance_that_carries_begins_where_the_previous_one_ended() {
    let schedule = ScheduleId::new();
    let lineage = |due| {
        Some(Lineage {
            schedule,
            due: Timestamp::from_millis(due),
        })
    };
    // In a partition that the previous one did not read.
    let newcomer = (1..)
        .find(|index| partition::of_sensor(sensor(*index)) != partition::of_sensor(sensor(0)))
        .unwrap();
    let mut world = World::new();
    world.lineage = lineage(1);
    world.bind(&[0]).await;
    let server = world.serve("1");
    let mut app = App::connect(server.address, &world, "replica=a").await.unwrap();
    assert_eq!(app.until("opened").await["carried"], false);
    world.log.push(0, 1);
    app.until("reading").await;
    app.checkpoint().await.unwrap();
    app.until("checkpointed").await;
    drop(app);
    // Nobody is there to hear these.
    world.log.push(0, 2);
    world.log.push(0, 1);
    world.log.push(newcomer, 0);
    let next = World {
        instance: InstanceId::new(),
        lineage: lineage(2),
        ..world.clone()
    };
    next.bind(&[0, newcomer]).await;
    world.log.push(0, 3);
    for replica in ["b", "c"] {
        let query = format!("replica={replica}");
        let mut app = App::connect(server.address, &next, &query).await.unwrap();
        assert_eq!(app.until("opened").await["carried"], true);
        assert_eq!(app.counted(), 1);
        app.until("reading").await;
        app.until("reading").await;
        assert_eq!(app.state, BTreeMap::from([(sensor(0).to_string(), vec![1, 2, 3])]));
        if replica == "c" {
            app.checkpoint().await.unwrap();
            app.until("checkpointed").await;
        }
        app.socket.close(None).await.unwrap();
    }
    let mut app = App::connect(server.address, &next, "replica=d").await.unwrap();
    assert_eq!(app.until("opened").await["carried"], false);
    assert_eq!(app.counted(), 3);
    let line = world.sessions().checkpoints;
    let line = line.list(&[("schedule", &schedule.to_string())]).await.unwrap();
    let line: Vec<_> = line.iter().map(|stored| stored.entity.instance).collect();
    assert_eq!(line, [next.instance]);
}

#[tokio::test]
async fn one_replica_holds_the_session_the_others_stand_by() {
    let world = World::new();
    world.bind(&[0]).await;
    let server = world.serve("1");
    let mut first = App::connect(server.address, &world, "replica=a").await.unwrap();
    first.until("caught_up").await;
    let mut second = App::connect(server.address, &world, "replica=b").await.unwrap();
    second.until("standby").await;
    first.socket.close(None).await.unwrap();
    second.until("opened").await;
    assert_eq!(second.session, 2);
    // The same replica again: it lost its connection before this side noticed.
    let mut again = App::connect(server.address, &world, "replica=b").await.unwrap();
    again.until("opened").await;
    world.log.push(0, 1);
    second.until("fenced").await;
    assert_eq!(again.session, 3);
    again.until("reading").await;
}

#[tokio::test]
async fn an_older_session_can_not_save() {
    let world = World::new();
    world.bind(&[0]).await;
    let (one, two) = (world.serve("1"), world.serve("2"));
    let mut old = App::connect(one.address, &world, "replica=a").await.unwrap();
    old.until("caught_up").await;
    world.log.push(0, 1);
    old.until("reading").await;
    let mut new = App::connect(two.address, &world, "replica=a").await.unwrap();
    new.until("opened").await;
    old.checkpoint().await.unwrap();
    old.until("fenced").await;
    let stored = world.sessions().checkpoints.list(&[]).await.unwrap();
    assert_eq!(stored[0].entity.state, None);
    new.until("reading").await;
    new.checkpoint().await.unwrap();
    new.until("checkpointed").await;
}

#[tokio::test]
async fn a_task_reads_from_a_moment_to_the_end_and_is_told() {
    let world = World::new();
    for seq in 0..100 {
        world.log.push(0, seq);
    }
    world.bind(&[0, 1]).await;
    let server = world.serve("1");
    let query = "replica=a&until=now&from=2026-01-01T00:00:00Z";
    let mut app = App::connect(server.address, &world, query).await.unwrap();
    app.until("end").await;
    assert_eq!(app.counted(), 100);
    app.checkpoint().await.unwrap();
    app.until("checkpointed").await;
}

#[tokio::test]
async fn the_binding_changes_in_band() {
    let world = World::new();
    world.bind(&[0]).await;
    let server = world.serve("1");
    let mut app = App::connect(server.address, &world, "replica=a").await.unwrap();
    app.until("caught_up").await;
    world.bind(&[0, 1]).await;
    let frame = app.until("binding").await;
    assert_eq!(frame["binding"]["slots"]["t"]["members"].as_array().unwrap().len(), 2);
    world.log.push(1, 0);
    app.until("reading").await;
    world.bind(&[1]).await;
    app.until("binding").await;
    world.log.push(0, 0);
    world.log.push(1, 1);
    app.until("reading").await;
    assert_eq!(app.state, BTreeMap::from([(sensor(1).to_string(), vec![0, 1])]));
    world.set_binding(BindingState::Released).await;
    app.until("fenced").await;
}

#[tokio::test]
async fn one_that_does_not_keep_up_is_sent_everything_in_the_end() {
    let world = World::new();
    world.bind(&[0, 1, 2]).await;
    let server = world.serve("1");
    let mut app = App::connect(server.address, &world, "replica=a").await.unwrap();
    app.until("caught_up").await;
    // More than may be unsaved and than the queue of a connection takes.
    for seq in 0..20_000 {
        world.log.push(usize::try_from(seq % 3).unwrap(), seq / 3);
        if seq % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    while app.counted() < 20_000 {
        app.until("reading").await;
        if app.n % 1000 == 0 {
            let state = std::mem::take(&mut app.state);
            app.checkpoint().await.unwrap();
            app.state = state;
        }
    }
    for numbers in app.state.values() {
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64));
    }
}

#[tokio::test]
async fn after_a_loss_of_the_newest_records_what_is_new_is_delivered() {
    let world = World::new();
    world.bind(&[0]).await;
    let server = world.serve("1");
    let mut app = App::connect(server.address, &world, "replica=a").await.unwrap();
    app.until("caught_up").await;
    for seq in 0..10 {
        world.log.push(0, seq);
        app.until("reading").await;
    }
    app.checkpoint().await.unwrap();
    app.until("checkpointed").await;
    server.kill();
    world.log.cut(4);
    let server = world.serve("2");
    let mut app = App::connect(server.address, &world, "replica=a").await.unwrap();
    app.until("caught_up").await;
    // What its sender had no acknowledgement for comes again, and was counted before.
    for seq in 8..12 {
        world.log.push(0, seq);
    }
    app.until("reading").await;
    app.until("reading").await;
    assert_eq!(app.state[&sensor(0).to_string()], (0..12).collect::<Vec<u64>>());
}

#[tokio::test]
async fn strangers_and_nonsense_are_turned_away() {
    let world = World::new();
    let server = world.serve("1");
    let status = |outcome: Result<App, Error>| match outcome {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{:?}", other.map(drop)),
    };
    assert_eq!(status(App::connect(server.address, &world, "replica=a").await), 503);
    world.bind(&[0]).await;
    assert_eq!(status(App::connect(server.address, &world, "shard=0").await), 400);
    assert_eq!(
        status(App::connect(server.address, &world, "replica=a&shard=1").await),
        400
    );
    let mut other = world.clone();
    other.key = common::token::TokenKey::new("other");
    assert_eq!(status(App::connect(server.address, &other, "replica=a").await), 401);
    for nonsense in [r#"{"type":"checkpoint","n":5}"#, r#"{"type":"hello","n":0}"#, "{"] {
        let mut app = App::connect(server.address, &world, "replica=a").await.unwrap();
        app.until("opened").await;
        app.socket.send(Message::text(nonsense)).await.unwrap();
        while app.next().await.is_some() {}
    }
}

/// A small generator, so that a run can be repeated in thought.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// The application, started again whenever it dies, against whatever server there is.
async fn application(world: World, address: tokio::sync::watch::Receiver<std::net::SocketAddr>) {
    let mut dice = Dice(7);
    let mut replica = 0;
    loop {
        let here = *address.borrow();
        let Ok(mut app) = App::connect(here, &world, &format!("replica={replica}")).await else {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            continue;
        };
        let every = 1 + dice.roll(60);
        let life = 1 + dice.roll(2000);
        while let Some(frame) = app.next().await {
            if frame["type"] == "reading" && app.n.is_multiple_of(every) && app.checkpoint().await.is_err() {
                break;
            }
            if frame["type"] == "caught_up" && app.checkpoint().await.is_err() {
                break;
            }
            if app.n > life {
                // Its container dies: a new one calls itself otherwise.
                replica += 1;
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_every_reading_is_counted_once_and_in_order() {
    const SENSORS: usize = 6;
    const ROUNDS: u64 = 25;
    let world = World::new();
    world.bind(&[0, 1, 2, 3, 4]).await;
    let mut server = world.serve("0");
    let (tell, address) = tokio::sync::watch::channel(server.address);
    let app = tokio::spawn(application(world.clone(), address));
    let mut dice = Dice(42);
    let mut next = [0u64; SENSORS];
    for round in 1..=ROUNDS {
        for _ in 0..400 {
            let index = usize::try_from(dice.roll(SENSORS as u64)).unwrap();
            // Now and then the acknowledgements of the last few were lost.
            let again = if dice.roll(10) == 0 { dice.roll(20) } else { 0 };
            for seq in next[index].saturating_sub(again)..=next[index] {
                world.log.push(index, seq);
            }
            next[index] += 1;
            if dice.roll(20) == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
        std::mem::replace(&mut server, world.serve(&round.to_string())).kill();
        tell.send_replace(server.address);
    }
    // Everything was there before the last kill, so the last session saves when it has caught up.
    let expected: BTreeMap<String, Vec<u64>> = (0..SENSORS - 1)
        .filter(|index| next[*index] > 0)
        .map(|index| (sensor(index).to_string(), (0..next[index]).collect()))
        .collect();
    let sessions = world.sessions();
    let state = || async {
        let stored = sessions.checkpoints.list(&[]).await.unwrap();
        let text = stored.first().and_then(|stored| stored.entity.state.clone());
        text.and_then(|text| serde_json::from_str::<BTreeMap<String, Vec<u64>>>(&text).ok())
            .unwrap_or_default()
    };
    let wanted: usize = expected.values().map(Vec::len).sum();
    let total = |state: &BTreeMap<String, Vec<u64>>| state.values().map(Vec::len).sum::<usize>();
    eventually("the whole count", || async { total(&state().await) >= wanted }).await;
    app.abort();
    assert_eq!(state().await, expected);
    server.kill();
}

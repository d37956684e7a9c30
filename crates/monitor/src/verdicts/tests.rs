use super::*;
use crate::liveness::tests::{beat, copy};
use common::messages::action::ActionRequest;
use common::messages::health::{Heartbeat, Node, ServiceCopy, ServiceEvent, ServiceHealth};
use common::names::ServiceName;
use runtime::memory::MemoryBus;
use runtime::store::MemoryDocuments;

fn me() -> ServiceCopy {
    ServiceCopy {
        service: ServiceName::Monitor,
        host: "one".to_owned(),
    }
}

struct World {
    memory: Arc<MemoryBus>,
    bus: Bus,
    judged: Entities<Judged>,
    watched: Entities<Watched>,
}

impl World {
    fn new() -> Self {
        let (memory, bus) = MemoryBus::bus("monitor");
        let documents = Arc::new(MemoryDocuments::default());
        Self {
            memory,
            judged: Entities::new(documents.clone(), bus.clone()),
            watched: Entities::new(documents, bus.clone()),
            bus,
        }
    }

    fn monitor(&self) -> (Arc<Board>, Verdicts) {
        let board = Arc::new(Board::new(me()));
        (
            board.clone(),
            Verdicts::new(self.judged.clone(), self.watched.clone(), self.bus.clone(), board),
        )
    }

    /// States that were published of the scheduler.
    fn said(&self) -> Vec<HealthState> {
        let events = self.memory.distinct::<ServiceEvent>();
        events
            .into_iter()
            .filter_map(of_copy)
            .map(|health| health.state)
            .collect()
    }

    /// Titles of what admins were told.
    fn alerts(&self) -> Vec<String> {
        let requests = self.memory.distinct::<ActionRequest>().into_iter();
        requests
            .filter_map(|request| match request {
                ActionRequest::Alert { title, .. } => Some(title),
                _ => None,
            })
            .collect()
    }
}

/// The verdict on the scheduler.
fn of_copy(event: ServiceEvent) -> Option<ServiceHealth> {
    match event {
        ServiceEvent::Changed { health } if health.copy == copy() => Some(health),
        _ => None,
    }
}

/// Beats of the monitor itself for so many seconds, judging twice a second.
async fn pass(board: &Board, verdicts: &mut Verdicts, seconds: u64, others: &[Heartbeat]) {
    for _ in 0..seconds {
        board.hear(&beat(me(), 1, true));
        others.iter().for_each(|other| board.hear(other));
        for _ in 0..2 {
            verdicts.judge_all(Timestamp::from_millis(0)).await.unwrap();
            tokio::time::advance(Duration::from_millis(500)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_service_is_told_once_within_ten_seconds() {
    let world = World::new();
    let (board, mut verdicts) = world.monitor();
    pass(&board, &mut verdicts, 5, &[beat(copy(), 7, true)]).await;
    assert_eq!(world.said(), [HealthState::Up], "only changes are published");
    pass(&board, &mut verdicts, 9, &[]).await;
    assert_eq!(
        world.said(),
        [HealthState::Up, HealthState::Suspected, HealthState::Down]
    );
    pass(&board, &mut verdicts, 60, &[]).await;
    assert_eq!(world.said().len(), 3);
    let versions: Vec<u64> = world
        .memory
        .distinct::<ServiceEvent>()
        .into_iter()
        .filter_map(of_copy)
        .map(|health| health.version)
        .collect();
    assert!(versions.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_come_back_over_a_restart_of_the_monitor_is_missed() {
    let world = World::new();
    let (board, mut verdicts) = world.monitor();
    pass(&board, &mut verdicts, 2, &[beat(copy(), 7, true)]).await;
    let (board, mut verdicts) = world.monitor();
    pass(&board, &mut verdicts, 8, &[]).await;
    assert_eq!(
        world.said(),
        [HealthState::Up],
        "nobody is down before the monitor has listened for 8 s"
    );
    pass(&board, &mut verdicts, 1, &[]).await;
    assert_eq!(world.said(), [HealthState::Up, HealthState::Down]);
}

#[tokio::test(start_paused = true)]
async fn a_deaf_monitor_blames_nobody() {
    let world = World::new();
    let (board, mut verdicts) = world.monitor();
    pass(&board, &mut verdicts, 3, &[beat(copy(), 7, true)]).await;
    // Kafka is away for a minute: no heartbeat comes, not even its own.
    for _ in 0..120 {
        tokio::time::advance(Duration::from_millis(500)).await;
        verdicts.judge_all(Timestamp::from_millis(0)).await.unwrap();
    }
    assert!(!board.hears());
    pass(&board, &mut verdicts, 4, &[]).await;
    pass(&board, &mut verdicts, 4, &[beat(copy(), 7, true)]).await;
    assert_eq!(world.said(), [HealthState::Up]);
}

fn report(name: &str, at: Timestamp) -> Node {
    Node {
        name: name.to_owned(),
        host: String::new(),
        address: "192.0.2.1".to_owned(),
        engine_version: "28".to_owned(),
        cpus: 2,
        load: 0.0,
        memory_total_bytes: 100,
        memory_available_bytes: 50,
        disk_total_bytes: 100,
        disk_free_bytes: 50,
        containers: 0,
        at,
    }
}

/// So many seconds of a world in which the monitor's own host lives, with or without another one on which the scheduler runs.
async fn live(board: &Board, verdicts: &mut Verdicts, from: i64, seconds: i64, other: bool, scheduler: bool) {
    for second in from..from + seconds {
        let now = Timestamp::from_millis(second * 1000);
        board.hear(&beat(me(), 1, true));
        board.report(&report("mine", now), now);
        if other {
            board.report(&report("one", now), now);
        }
        if scheduler {
            board.hear(&beat(copy(), 7, true));
        }
        verdicts.judge_all(now).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_that_lasts_is_told_once_also_by_a_monitor_that_is_new() {
    let world = World::new();
    let (board, mut verdicts) = world.monitor();
    live(&board, &mut verdicts, 0, 5, true, true).await;
    live(&board, &mut verdicts, 5, 40, true, false).await;
    assert_eq!(world.alerts(), ["scheduler on one is down"]);
    let (board, mut verdicts) = world.monitor();
    live(&board, &mut verdicts, 45, 60, true, false).await;
    assert_eq!(world.alerts().len(), 1, "no storm after its own restart");
    live(&board, &mut verdicts, 105, 30, true, true).await;
    assert_eq!(
        world.alerts(),
        ["scheduler on one is down", "scheduler on one is well again"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_gone_says_it_for_everything_on_it() {
    let world = World::new();
    let (board, mut verdicts) = world.monitor();
    live(&board, &mut verdicts, 0, 5, true, true).await;
    live(&board, &mut verdicts, 5, 120, false, false).await;
    assert_eq!(world.alerts(), ["host one is down"]);
    live(&board, &mut verdicts, 125, 30, true, true).await;
    assert_eq!(world.alerts(), ["host one is down", "host one is well again"]);
}

#[tokio::test(start_paused = true)]
async fn what_starts_late_on_a_host_that_is_back_is_no_news() {
    let world = World::new();
    let (board, mut verdicts) = world.monitor();
    live(&board, &mut verdicts, 0, 5, true, true).await;
    live(&board, &mut verdicts, 5, 120, false, false).await;
    live(&board, &mut verdicts, 125, 20, true, false).await;
    assert_eq!(world.alerts(), ["host one is down", "host one is well again"]);
    live(&board, &mut verdicts, 145, 30, true, false).await;
    assert_eq!(world.alerts().last().unwrap(), "scheduler on one is down");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_has_left_is_forgotten_with_what_was_on_it() {
    let world = World::new();
    let (board, mut verdicts) = world.monitor();
    live(&board, &mut verdicts, 0, 5, true, true).await;
    let (board, verdicts) = world.monitor();
    let mut verdicts = verdicts.of_hosts([("mine".to_owned(), BTreeSet::new())]);
    live(&board, &mut verdicts, 5, 120, true, true).await;
    assert_eq!(world.alerts(), [""; 0]);
    let known: Vec<Component> = verdicts.components.known().map(|one| one.subject().clone()).collect();
    let name = "mine".to_owned();
    assert_eq!(known, [Component::Host { name }]);
    assert_eq!(verdicts.services.known().count(), 0);
    let buried: Vec<String> = world
        .memory
        .records()
        .into_iter()
        .filter(|one| one.payload.is_none())
        .map(|one| one.key)
        .collect();
    assert_eq!(buried, [copy().to_string(), me().to_string(), "host/one".to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn what_stood_in_on_a_host_is_forgotten_when_it_is_gone() {
    let world = World::new();
    let (board, verdicts) = world.monitor();
    let own = BTreeSet::from([ServiceName::Monitor]);
    let mut verdicts = verdicts.of_hosts([(me().host, own)]);
    pass(&board, &mut verdicts, 5, &[beat(copy(), 7, true)]).await;
    assert_eq!(world.said(), [HealthState::Up]);
    pass(&board, &mut verdicts, 300, &[]).await;
    assert_eq!(world.said().last(), Some(&HealthState::Down));
    assert_eq!(
        world.said().len(),
        3,
        "what was heard of it once does not bring it back"
    );
    assert!(verdicts.services.known().all(|judged| *judged.subject() != copy()));
    assert_eq!(world.alerts(), [""; 0]);
    board.hear(&beat(me(), 1, true));
    board.hear(&beat(copy(), 8, true));
    verdicts.judge_all(Timestamp::from_millis(307_000)).await.unwrap();
    assert_eq!(world.said().last(), Some(&HealthState::Up), "it stands in again");
}

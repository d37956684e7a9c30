use super::*;
use crate::liveness::tests::{beat, copy};
use common::messages::health::Heartbeat;
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
}

impl World {
    fn new() -> Self {
        let (memory, bus) = MemoryBus::bus("monitor");
        let judged = Entities::new(Arc::new(MemoryDocuments::default()), bus.clone());
        Self { memory, bus, judged }
    }

    fn monitor(&self) -> (Arc<Board>, Verdicts) {
        let board = Arc::new(Board::new(me()));
        (
            board.clone(),
            Verdicts::new(self.judged.clone(), self.bus.clone(), board),
        )
    }

    /// States that were published of the scheduler.
    fn said(&self) -> Vec<HealthState> {
        let events = self.memory.distinct::<ServiceEvent>();
        events
            .into_iter()
            .map(|ServiceEvent::Changed { health }| health)
            .filter(|health| health.copy == copy())
            .map(|health| health.state)
            .collect()
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
        .map(|ServiceEvent::Changed { health }| health)
        .filter(|health| health.copy == copy())
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

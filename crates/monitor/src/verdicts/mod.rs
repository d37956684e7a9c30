//! The verdicts: judged twice a second, written and published when they change, told to admins when trouble lasts.

mod ledger;

use std::sync::Arc;
use std::time::Duration;

use common::Timestamp;
use common::messages::health::{Component, HealthState};
use runtime::health::Part;
use runtime::{Bus, Duty, Entities, StoreError};
use tokio::sync::watch;

use crate::board::Board;
use crate::recovery::Snapshot;
use crate::store::{Judged, Judgement as _, Watched};
use ledger::{Ledger, name};

/// Time between two judgements.
const INTERVAL: Duration = Duration::from_millis(500);

/// Judges, writes, publishes.
#[derive(Debug)]
pub struct Verdicts {
    services: Ledger<Judged>,
    components: Ledger<Watched>,
    board: Arc<Board>,
    snapshots: watch::Sender<Snapshot>,
}

impl Verdicts {
    /// Judges by a board.
    #[must_use]
    pub fn new(services: Entities<Judged>, components: Entities<Watched>, bus: Bus, board: Arc<Board>) -> Self {
        Self {
            snapshots: watch::Sender::default(),
            services: Ledger::new(services, bus.clone()),
            components: Ledger::new(components, bus),
            board,
        }
    }

    /// The newest verdicts as they come.
    #[must_use]
    pub fn snapshots(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.subscribe()
    }

    /// Judges everything once.
    ///
    /// # Errors
    /// When the store fails; what was not written is judged again the next time.
    pub async fn judge_all(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.services.remember().await?;
        self.components.remember().await?;
        // One that fails must not keep the others from being judged.
        let outcomes = [
            self.judge_services(now).await,
            self.judge_components(now).await,
            self.alert(now).await,
        ];
        self.gauge();
        self.snapshots.send_replace(self.snapshot());
        outcomes.into_iter().collect()
    }

    async fn judge_services(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let mut copies = self.board.copies();
        copies.extend(self.services.known().map(|judged| judged.subject().clone()));
        let mut outcome = Ok(());
        for copy in copies {
            let before = self.services.get(&copy).map(Judged::verdict);
            let verdict = self.board.judge(&copy, before.as_ref());
            if let Err(error) = self.services.judge(&copy, verdict, now).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    async fn judge_components(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let mut components = self.board.components();
        components.extend(self.components.known().map(|watched| watched.subject().clone()));
        let mut outcome = Ok(());
        for component in components {
            let before = self.components.get(&component).map(Watched::verdict);
            let verdict = self.board.judge_component(&component, before.as_ref());
            if let Err(error) = self.components.judge(&component, verdict, now).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Tells admins. A host that is gone says it for everything on it, and for the brokers that are missing.
    async fn alert(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let gone: Vec<String> = self.components.known().filter_map(gone).collect();
        self.services
            .alert(|judged| gone.contains(&judged.health.copy.host), now)
            .await?;
        let covered = |watched: &Watched| {
            let degraded = watched.state() == HealthState::Degraded;
            degraded && watched.health.component == Component::Kafka && !gone.is_empty()
        };
        self.components.alert(covered, now).await
    }

    fn snapshot(&self) -> Snapshot {
        let host = |watched: &Watched| match &watched.health.component {
            Component::Host { name } => Some((name.clone(), (watched.state(), watched.since()))),
            Component::Kafka | Component::Mongodb => None,
        };
        Snapshot {
            hosts: self.components.known().filter_map(host).collect(),
            services: self
                .services
                .known()
                .map(|judged| (judged.subject().clone(), judged.state()))
                .collect(),
        }
    }

    fn gauge(&self) {
        use HealthState::{Degraded, Down, NotReady, Stopped, Suspected, Up};
        let services = || self.services.known().map(|judged| judged.state());
        let components = || self.components.known().map(|watched| watched.state());
        for state in [Up, NotReady, Suspected, Down, Stopped, Degraded] {
            let count = services().filter(|other| *other == state).count();
            metrics::gauge!("monitor_services", "state" => name(state)).set(number(count));
            let count = components().filter(|other| *other == state).count();
            metrics::gauge!("monitor_components", "state" => name(state)).set(number(count));
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Name of a host that is gone, or about to be found so.
fn gone(watched: &Watched) -> Option<String> {
    match &watched.health.component {
        Component::Host { name } if matches!(watched.state(), HealthState::Down | HealthState::Suspected) => {
            Some(name.clone())
        }
        _ => None,
    }
}

/// Judges until the process ends.
///
/// # Errors
/// Never.
pub async fn run(mut verdicts: Verdicts, duty: Duty, part: Part) -> anyhow::Result<()> {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if verdicts.board.hears() {
            part.ready();
        } else {
            part.waits_for("its own heartbeat to come back from kafka");
        }
        if !duty.held() {
            // Whoever judges meanwhile knows better.
            verdicts.services.forget();
            verdicts.components.forget();
            continue;
        }
        if let Err(error) = verdicts.judge_all(Timestamp::now()).await {
            tracing::warn!(%error, "a verdict waits");
        }
    }
}

#[cfg(test)]
mod tests;

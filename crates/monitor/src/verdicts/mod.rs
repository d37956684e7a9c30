//! The verdicts: judged twice a second, written and published when they change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::messages::health::{HealthState, ServiceCopy, ServiceEvent, ServiceHealth};
use common::{Envelope, MessageId, Timestamp};
use runtime::health::Part;
use runtime::{Applied, ApplyError, Bus, BusError, Change, Duty, Entities, Record, StoreError};

use crate::board::Board;
use crate::liveness::Verdict;
use crate::store::Judged;

/// Time between two judgements.
const INTERVAL: Duration = Duration::from_millis(500);

/// Judges, writes, publishes.
#[derive(Debug)]
pub struct Verdicts {
    judged: Entities<Judged>,
    bus: Bus,
    board: Arc<Board>,
    /// The newest verdicts, as far as this process knows; none before the store was read.
    known: Option<BTreeMap<ServiceCopy, ServiceHealth>>,
}

impl Verdicts {
    /// Judges by a board.
    #[must_use]
    pub fn new(judged: Entities<Judged>, bus: Bus, board: Arc<Board>) -> Self {
        Self {
            judged,
            bus,
            board,
            known: None,
        }
    }

    /// Judges every copy once.
    ///
    /// # Errors
    /// When the store fails; what was not written is judged again the next time.
    pub async fn judge_all(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let mut known = match self.known.take() {
            Some(known) => known,
            None => self.remembered().await?,
        };
        let mut copies = self.board.copies();
        copies.extend(known.keys().cloned());
        let mut outcome = Ok(());
        for copy in copies {
            let before = known.get(&copy);
            let said = before.map(|health| Verdict {
                state: health.state,
                cause: health.cause.clone(),
            });
            let Some(verdict) = self.board.judge(&copy, said.as_ref()) else {
                continue;
            };
            if said.as_ref() == Some(&verdict) {
                continue;
            }
            match self.write(&copy, &verdict, now).await {
                Ok(health) => drop(known.insert(copy, health)),
                // One copy must not keep the others from being judged.
                Err(error) => outcome = Err(error),
            }
        }
        gauge(&known);
        self.known = Some(known);
        outcome
    }

    async fn remembered(&self) -> Result<BTreeMap<ServiceCopy, ServiceHealth>, StoreError> {
        let all = self.judged.list(&[]).await?;
        Ok(all
            .into_iter()
            .map(|stored| (stored.entity.health.copy.clone(), stored.entity.health))
            .collect())
    }

    async fn write(&self, copy: &ServiceCopy, verdict: &Verdict, now: Timestamp) -> Result<ServiceHealth, StoreError> {
        let applied = self
            .judged
            .apply(&copy.to_string(), None, |current, version| {
                let before = current.map(|judged| &judged.health);
                let same_state = before.filter(|before| before.state == verdict.state);
                if same_state.is_some_and(|before| before.cause == verdict.cause) {
                    return Ok(Change::Keep);
                }
                let health = ServiceHealth {
                    copy: copy.clone(),
                    state: verdict.state,
                    cause: verdict.cause.clone(),
                    since: same_state.map_or(now, |before| before.since),
                    version,
                };
                let records = vec![self.record(&health, now)?];
                Ok::<_, BusError>(Change::Put {
                    entity: Judged { health },
                    records,
                })
            })
            .await;
        match applied {
            Ok(Applied::Changed(stored)) => {
                tell(&stored.entity.health);
                Ok(stored.entity.health)
            }
            Ok(Applied::Kept(Some(stored)) | Applied::Duplicate(Some(stored))) => Ok(stored.entity.health),
            Ok(_) => Err(missing(copy)),
            Err(ApplyError::Store(error)) => Err(error),
            Err(ApplyError::Refused(error)) => Err(StoreError::Corrupt {
                collection: <Judged as runtime::Entity>::COLLECTION.to_owned(),
                id: copy.to_string(),
                message: error.to_string(),
            }),
        }
    }

    fn record(&self, health: &ServiceHealth, now: Timestamp) -> Result<Record, BusError> {
        let id = MessageId::derive(&[self.bus.source(), &health.copy.to_string(), &health.version.to_string()]);
        let changed = ServiceEvent::Changed { health: health.clone() };
        Record::of(&Envelope::first(id, self.bus.source(), now, changed))
    }
}

fn missing(copy: &ServiceCopy) -> StoreError {
    StoreError::Contention {
        collection: <Judged as runtime::Entity>::COLLECTION,
        id: copy.to_string(),
    }
}

fn tell(health: &ServiceHealth) {
    let ServiceHealth { copy, state, cause, .. } = health;
    metrics::counter!("monitor_verdicts_total", "state" => name(*state)).increment(1);
    match state {
        HealthState::Down => tracing::error!(%copy, cause, "down"),
        HealthState::Suspected => tracing::warn!(%copy, cause, "suspected"),
        _ => tracing::info!(%copy, cause, "{}", name(*state)),
    }
}

fn gauge(known: &BTreeMap<ServiceCopy, ServiceHealth>) {
    use HealthState::{Down, NotReady, Stopped, Suspected, Up};
    for state in [Up, NotReady, Suspected, Down, Stopped] {
        let count = known.values().filter(|health| health.state == state).count();
        metrics::gauge!("monitor_services", "state" => name(state)).set(u32::try_from(count).unwrap_or(u32::MAX));
    }
}

fn name(state: HealthState) -> &'static str {
    match state {
        HealthState::Up => "up",
        HealthState::NotReady => "not ready",
        HealthState::Suspected => "suspected",
        HealthState::Down => "down",
        HealthState::Stopped => "stopped",
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
            verdicts.known = None;
            continue;
        }
        if let Err(error) = verdicts.judge_all(Timestamp::now()).await {
            tracing::warn!(%error, "a verdict waits");
        }
    }
}

#[cfg(test)]
mod tests;

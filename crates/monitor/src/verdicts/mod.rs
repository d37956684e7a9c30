//! The verdicts: judged twice a second, written and published when they change, told to admins when trouble lasts.

mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use common::Timestamp;
use common::messages::health::{Component, HealthState, ServiceCopy};
use common::names::ServiceName;
use runtime::health::Part;
use runtime::{Bus, Duty, Entities, StoreError};
use tokio::sync::watch;

use crate::board::Board;
use crate::liveness::Verdict;
use crate::recovery::Snapshot;
use crate::store::{Judged, Judgement as _, Watched};
use ledger::{Ledger, name};

/// Time between two judgements.
const INTERVAL: Duration = Duration::from_millis(500);
/// Milliseconds after its return for which a host still speaks for what is on it: that starts only now.
const RETURNS_MILLIS: i64 = 30_000;
/// Time that the monitor listens until it tells and acts: what it remembers may be old, and a host is found gone after this long.
const LISTENS: Duration = Duration::from_secs(20);

/// Judges, writes, publishes.
#[derive(Debug)]
pub struct Verdicts {
    services: Ledger<Judged>,
    components: Ledger<Watched>,
    board: Arc<Board>,
    /// The hosts that are watched, with the services that each has by itself; none: every host that is heard.
    hosts: Option<BTreeMap<String, BTreeSet<ServiceName>>>,
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
            hosts: None,
        }
    }

    /// Watches these hosts only, each with the services that it has by itself: one that has left is forgotten, with all that was on it; and so is
    /// another service once it is gone, which stood in there or has moved.
    #[must_use]
    pub fn of_hosts(self, hosts: impl IntoIterator<Item = (String, BTreeSet<ServiceName>)>) -> Self {
        let hosts = Some(hosts.into_iter().collect());
        Self { hosts, ..self }
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
        let mut outcomes = vec![self.judge_services(now).await, self.judge_components(now).await];
        let listens = self.board.hears_for().is_some_and(|since| since >= LISTENS);
        if listens {
            outcomes.push(self.alert(now).await);
        }
        self.gauge();
        let snapshot = if listens { self.snapshot() } else { Snapshot::default() };
        self.snapshots.send_replace(snapshot);
        outcomes.into_iter().collect()
    }

    async fn judge_services(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let (board, hosts) = (&self.board, &self.hosts);
        let watched = |copy: &ServiceCopy| is_watched(hosts.as_ref(), &copy.host);
        let passing = |copy: &ServiceCopy| is_passing(hosts.as_ref(), copy);
        self.services
            .keep_only(|judged| {
                let copy = judged.subject();
                watched(copy) && !(passing(copy) && is_gone(judged.state()))
            })
            .await?;
        let copies = board.copies().into_iter().filter(watched).collect();
        let verdict = |copy: &ServiceCopy, before: Option<&Verdict>| {
            let verdict = board.judge(copy, before)?;
            // What was heard of it is old.
            let memory = before.is_none() && passing(copy) && is_gone(verdict.state);
            (!memory).then_some(verdict)
        };
        self.services.judge_all(copies, verdict, now).await
    }

    async fn judge_components(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let (board, hosts) = (&self.board, &self.hosts);
        let watched = |component: &Component| match component {
            Component::Host { name } => is_watched(hosts.as_ref(), name),
            Component::Kafka | Component::Mongodb => true,
        };
        self.components.keep_only(|judged| watched(judged.subject())).await?;
        let components = board.components().into_iter().filter(watched).collect();
        let verdict = |component: &Component, before: Option<&Verdict>| board.judge_component(component, before);
        self.components.judge_all(components, verdict, now).await
    }

    /// Tells admins. A host that is gone, or just came back, says it for everything on it and for the brokers that are missing.
    async fn alert(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let gone: Vec<String> = self.components.known().filter_map(|host| speaks(host, now)).collect();
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

type Hosts = BTreeMap<String, BTreeSet<ServiceName>>;

fn is_watched(hosts: Option<&Hosts>, host: &str) -> bool {
    hosts.is_none_or(|hosts| hosts.contains_key(host))
}

/// Whether a service is not its host's own: it stands in there, or has moved.
fn is_passing(hosts: Option<&Hosts>, copy: &ServiceCopy) -> bool {
    let own = hosts.and_then(|hosts| hosts.get(&copy.host));
    copy.service != ServiceName::Agent && own.is_some_and(|own| !own.contains(&copy.service))
}

fn is_gone(state: HealthState) -> bool {
    matches!(state, HealthState::Down | HealthState::Stopped)
}

/// Name of a host that is gone, about to be found so, or back for a moment only.
fn speaks(watched: &Watched, now: Timestamp) -> Option<String> {
    let Component::Host { name } = &watched.health.component else {
        return None;
    };
    let gone = matches!(watched.state(), HealthState::Down | HealthState::Suspected);
    (gone || now.millis_since(watched.since()) < RETURNS_MILLIS).then(|| name.clone())
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
            verdicts.gauge();
            verdicts.snapshots.send_replace(Snapshot::default());
            continue;
        }
        if let Err(error) = verdicts.judge_all(Timestamp::now()).await {
            tracing::warn!(%error, "a verdict waits");
        }
    }
}

#[cfg(test)]
mod tests;

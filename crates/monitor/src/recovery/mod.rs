//! Starts services of hosts that are lost on others, and ends them when those are back: by SSH, with a key that lets in to `hostctl` only.
//!
//! Two copies of a service do no harm, so that a host which was only cut off finds nothing to fight about when it returns.

pub mod steps;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use common::messages::health::{HealthState, Recovery, RecoveryState, ServiceCopy, ServiceEvent};
use common::names::ServiceName;
use common::settings::{Recovery as Settings, RecoveryHost};
use common::{Envelope, MessageId, Timestamp};
use hosts::ssh::{Agent, Identity, Session, Target, Timeouts, Trust};
use runtime::{ApplyError, Bus, BusError, Change, Duty, Entities, Entity, Record, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use steps::{Condition, StandIn, Step};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// Milliseconds that a host must be down until that counts.
const LOST_MILLIS: i64 = 15_000;
/// Milliseconds that it must be well: longer than one that is gone again can seem so, as nothing is suspected for 12 s.
const WELL_MILLIS: i64 = 30_000;
/// Milliseconds for which a host that could not do what it was asked for is asked for nothing more.
const DISTRUST_MILLIS: i64 = 60_000;
/// Milliseconds that a stand-in has to come up.
const COMES_UP_MILLIS: i64 = 60_000;
/// At most so many starts for each service of a host in so long: a monitor that errs does little harm, and hosts may be lost twice.
const MOST: usize = 2;
const WITHIN: Duration = Duration::from_secs(600);
/// Time that a host has to do what it is asked for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Newest verdicts, as far as they matter here.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Hosts with their state and since when it is so.
    pub hosts: BTreeMap<String, (HealthState, Timestamp)>,
    /// Copies of services.
    pub services: BTreeMap<ServiceCopy, HealthState>,
}

impl Snapshot {
    /// How sure it is that a host is there.
    #[must_use]
    pub fn condition(&self, host: &str, now: Timestamp) -> Condition {
        let Some((state, since)) = self.hosts.get(host) else {
            return Condition::Doubtful;
        };
        // What beats is there, whatever became of the agent that reports for the host.
        let alive = self
            .services
            .iter()
            .any(|(copy, state)| copy.host == host && matches!(state, HealthState::Up | HealthState::NotReady));
        let lasts = now.millis_since(*since);
        match state {
            HealthState::Down if lasts >= LOST_MILLIS && !alive => Condition::Lost,
            HealthState::Up | HealthState::Degraded if lasts >= WELL_MILLIS => Condition::Well,
            _ => Condition::Doubtful,
        }
    }

    fn state(&self, service: ServiceName, host: &str) -> Option<HealthState> {
        let host = host.to_owned();
        self.services.get(&ServiceCopy { service, host }).copied()
    }

    /// Whether a stand-in does its work, or may still come up. One that failed to start may run all the same; nobody counts on it.
    #[must_use]
    pub fn serves(&self, recovery: &Recovery, now: Timestamp) -> bool {
        let state = self.state(recovery.service, &recovery.host);
        // One that was never heard is not there either.
        let gone = !matches!(
            state,
            Some(HealthState::Up | HealthState::NotReady | HealthState::Suspected)
        );
        let young = now.millis_since(recovery.since) < COMES_UP_MILLIS;
        recovery.state == RecoveryState::Started && (young || !gone)
    }
}

fn stand_in(recovery: &Recovery) -> StandIn {
    StandIn {
        service: recovery.service,
        host: recovery.host.clone(),
    }
}

/// What is remembered of a stand-in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// As it is published.
    pub recovery: Recovery,
}

impl Entity for Remembered {
    const COLLECTION: &'static str = "monitor_recoveries";
}

/// Acts on snapshots.
#[derive(Debug)]
pub struct Recoveries {
    settings: Settings,
    key: PathBuf,
    places: BTreeMap<String, BTreeSet<ServiceName>>,
    remembered: Entities<Remembered>,
    bus: Bus,
    starts: VecDeque<Instant>,
}

impl Recoveries {
    /// Acts with a key on the hosts of the settings.
    #[must_use]
    pub fn new(settings: Settings, key: PathBuf, remembered: Entities<Remembered>, bus: Bus) -> Self {
        let hosts = settings.hosts.iter();
        let places = hosts.map(|host| (host.name.clone(), host.services.iter().copied().collect()));
        Self {
            places: places.collect(),
            settings,
            key,
            remembered,
            bus,
            starts: VecDeque::new(),
        }
    }

    /// Acts until the process ends, while it has the duty.
    ///
    /// # Errors
    /// Never.
    pub async fn run(mut self, duty: Duty, snapshots: watch::Receiver<Snapshot>) -> anyhow::Result<()> {
        loop {
            tokio::time::sleep(LOOK).await;
            if !duty.held() || !self.settings.acts {
                continue;
            }
            let snapshot = snapshots.borrow().clone();
            if let Err(error) = self.look(&snapshot, Timestamp::now()).await {
                tracing::warn!("a recovery waits: {error:#}");
            }
        }
    }

    async fn look(&mut self, snapshot: &Snapshot, now: Timestamp) -> anyhow::Result<()> {
        let all = self.remembered.list(&[]).await?;
        let all: Vec<Recovery> = all.into_iter().map(|stored| stored.entity.recovery).collect();
        let stand_ins = all.iter().filter(|recovery| recovery.state != RecoveryState::Ended);
        let stand_ins = stand_ins.map(|recovery| (stand_in(recovery), snapshot.serves(recovery, now)));
        let failed_lately = |host: &str| {
            let failed = |recovery: &&Recovery| recovery.host == host && recovery.state == RecoveryState::Failed;
            all.iter()
                .filter(failed)
                .any(|recovery| now.millis_since(recovery.since) < DISTRUST_MILLIS)
        };
        let condition = |host: &str| match snapshot.condition(host, now) {
            Condition::Well if failed_lately(host) => Condition::Doubtful,
            condition => condition,
        };
        let works = |service, host: &str| snapshot.state(service, host) == Some(HealthState::Up);
        for step in steps::steps(&self.places, condition, works, &stand_ins.collect()) {
            if matches!(step, Step::End(_)) || self.may_start() {
                self.take(&step).await?;
            }
        }
        Ok(())
    }

    /// Whether few enough were started lately.
    fn may_start(&mut self) -> bool {
        let now = Instant::now();
        self.starts.retain(|at| now.duration_since(*at) < WITHIN);
        let most = MOST * self.places.values().map(BTreeSet::len).sum::<usize>();
        let may = self.starts.len() < most;
        if may {
            self.starts.push_back(now);
        } else {
            tracing::warn!(most, "too many recoveries lately: the next one waits");
        }
        may
    }

    async fn take(&self, step: &Step) -> anyhow::Result<()> {
        let (stand_in, verb, instead_of) = match step {
            Step::Start { stand_in, instead_of } => (stand_in, "start", Some(instead_of)),
            Step::End(stand_in) => (stand_in, "stop", None),
        };
        let host = self.settings.hosts.iter().find(|host| host.name == stand_in.host);
        let host = host.with_context(|| format!("{} is not known", stand_in.host))?;
        let service = stand_in.service;
        let outcome = self.ask(host, &format!("{verb} {service}")).await;
        let (state, text) = match (&outcome, instead_of) {
            (Ok(()), Some(lost)) => (RecoveryState::Started, format!("{lost} is lost")),
            (Ok(()), None) => (RecoveryState::Ended, "every host that has it is back".to_owned()),
            (Err(error), Some(_)) => (RecoveryState::Failed, format!("it could not be started: {error:#}")),
            (Err(error), None) => (RecoveryState::Failed, format!("it could not be ended: {error:#}")),
        };
        tracing::warn!(%service, host = host.name, state = ?state, "recovery: {text}");
        metrics::counter!("monitor_recoveries_total").increment(1);
        self.remember(stand_in, instead_of, state, &text)
            .await
            .map_err(Into::into)
    }

    /// Has a host do something; what it may be is decided there.
    async fn ask(&self, host: &RecoveryHost, words: &str) -> anyhow::Result<()> {
        let target = Target {
            name: host.name.clone(),
            address: host.address.to_string(),
            port: host.port,
            user: self.settings.user.clone(),
            identity: Identity {
                key: Some(self.key.clone()),
                passphrase: None,
                agent: Agent::Off,
            },
            trust: Trust {
                fingerprint: host.fingerprint.clone(),
                known_hosts: self.settings.known_hosts.clone(),
            },
            bastion: None,
            timeouts: Timeouts {
                connect: Duration::from_secs(5),
                handshake: Duration::from_secs(10),
                authentication: Duration::from_secs(10),
                ..Timeouts::default()
            },
        };
        let session = Session::connect(&target).await?;
        let output = session.run(words, b"", PATIENCE).await?;
        session.close().await;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status == Some(0), "{} says: {}", host.name, said.trim());
        Ok(())
    }

    async fn remember(
        &self,
        stand_in: &StandIn,
        instead_of: Option<&String>,
        state: RecoveryState,
        outcome: &str,
    ) -> Result<(), StoreError> {
        let id = format!("{}@{}", stand_in.service, stand_in.host);
        let now = Timestamp::now();
        let applied = self
            .remembered
            .apply(&id, None, |current: Option<&Remembered>, version| {
                let before = current.map(|current| current.recovery.instead_of.clone());
                let recovery = Recovery {
                    service: stand_in.service,
                    host: stand_in.host.clone(),
                    instead_of: instead_of.cloned().or(before).unwrap_or_default(),
                    state,
                    outcome: outcome.to_owned(),
                    since: now,
                    version,
                };
                let event = ServiceEvent::Recovered {
                    recovery: recovery.clone(),
                };
                let cause = MessageId::derive(&[self.bus.source(), "recovery", &id, &version.to_string()]);
                let records = vec![Record::of(&Envelope::first(cause, self.bus.source(), now, event))?];
                Ok::<_, BusError>(Change::Put {
                    entity: Remembered { recovery },
                    records,
                })
            })
            .await;
        match applied {
            Ok(_) => Ok(()),
            Err(ApplyError::Store(error)) => Err(error),
            Err(ApplyError::Refused(error)) => Err(StoreError::Corrupt {
                collection: Remembered::COLLECTION.to_owned(),
                id,
                message: error.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_lost_when_neither_it_nor_a_service_on_it_is_heard_for_a_while() {
        let now = Timestamp::from_millis(100_000);
        let beats = |state| {
            let copy = ServiceCopy {
                service: ServiceName::Scheduler,
                host: "b".to_owned(),
            };
            BTreeMap::from([(copy, state)])
        };
        for (state, seconds, service, expected) in [
            (HealthState::Down, 20, HealthState::Down, Condition::Lost),
            (HealthState::Down, 10, HealthState::Down, Condition::Doubtful),
            (HealthState::Down, 20, HealthState::Up, Condition::Doubtful),
            (HealthState::Suspected, 90, HealthState::Down, Condition::Doubtful),
            (HealthState::Up, 40, HealthState::Down, Condition::Well),
            (HealthState::Up, 20, HealthState::Up, Condition::Doubtful),
            (HealthState::Up, 10, HealthState::Up, Condition::Doubtful),
            (HealthState::Degraded, 40, HealthState::Up, Condition::Well),
        ] {
            let snapshot = Snapshot {
                hosts: BTreeMap::from([("b".to_owned(), (state, now.plus_millis(seconds * -1000)))]),
                services: beats(service),
            };
            assert_eq!(
                snapshot.condition("b", now),
                expected,
                "{state:?} {seconds} {service:?}"
            );
            assert_eq!(snapshot.condition("c", now), Condition::Doubtful);
        }
    }
}

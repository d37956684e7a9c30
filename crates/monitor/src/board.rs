//! What was heard so far, shared by those who listen and the one who judges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::Timestamp;
use common::messages::health::{Component, HealthState, Heartbeat, Node, ServiceCopy};
use common::names::ServiceName;
use tokio::time::Instant;

use crate::components::{self, HostSight, Looks};
use crate::liveness::{Heard, SUSPECTED_AFTER, Verdict, judge};

/// What was heard so far.
#[derive(Debug)]
pub struct Board {
    start: Instant,
    me: ServiceCopy,
    heard: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    copies: BTreeMap<ServiceCopy, Heard>,
    hosts: BTreeMap<String, HostSight>,
    kafka: Looks,
    mongodb: Looks,
    /// Since when the monitor hears its own heartbeat without a gap.
    hearing_since: Option<Duration>,
}

impl Board {
    /// Begins with nothing heard. `me` is the monitor's own copy, whose heartbeat proves that it can hear.
    #[must_use]
    pub fn new(me: ServiceCopy) -> Self {
        Self {
            start: Instant::now(),
            me,
            heard: Mutex::default(),
        }
    }

    /// Takes in a heartbeat.
    pub fn hear(&self, heartbeat: &Heartbeat) {
        let now = self.start.elapsed();
        let copy = heartbeat.copy();
        let mut state = self.state();
        let before = state.copies.get(copy);
        if *copy == self.me {
            let gap = before.is_none_or(|heard| now.saturating_sub(heard.last) > SUSPECTED_AFTER);
            if gap || state.hearing_since.is_none() {
                state.hearing_since = Some(now);
            }
        }
        let heard = Heard::after(state.copies.get(copy), heartbeat, now);
        state.copies.insert(copy.clone(), heard);
    }

    /// Takes in a host's report; `now` is this host's time of day.
    pub fn report(&self, node: &Node, now: Timestamp) {
        let received = self.start.elapsed();
        let mut state = self.state();
        let off = now.millis_since(node.at).abs() > components::SKEW_MILLIS;
        let name = node.host_name();
        let before = state.hosts.get(name).map_or(0, |sight| sight.skewed);
        let sight = HostSight {
            report: node.clone(),
            received,
            skewed: if off { before.saturating_add(1) } else { 0 },
        };
        state.hosts.insert(name.to_owned(), sight);
    }

    /// Takes in a look at Kafka.
    pub fn look_at_kafka(&self, finding: Option<(HealthState, String)>) {
        self.state().kafka.take(finding);
    }

    /// Takes in a look at MongoDB.
    pub fn look_at_mongodb(&self, finding: Option<(HealthState, String)>) {
        self.state().mongodb.take(finding);
    }

    /// Returns what is watched besides services.
    #[must_use]
    pub fn components(&self) -> BTreeSet<Component> {
        let hosts: Vec<String> = self.state().hosts.keys().cloned().collect();
        let hosts = hosts.into_iter().map(|name| Component::Host { name });
        hosts.chain([Component::Kafka, Component::Mongodb]).collect()
    }

    /// Judges a component by what was seen until now.
    #[must_use]
    pub fn judge_component(&self, component: &Component, before: Option<&Verdict>) -> Option<Verdict> {
        let state = self.state();
        match component {
            Component::Kafka => state.kafka.judge(before),
            Component::Mongodb => state.mongodb.judge(before),
            Component::Host { name } => {
                let sight = state.hosts.get(name);
                components::host(before, sight, self.hearing(&state), self.start.elapsed())
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the monitor hears its own heartbeat.
    #[must_use]
    pub fn hears(&self) -> bool {
        let state = self.state();
        self.hearing(&state).is_some()
    }

    /// For how long it has heard itself without a gap; none: it does not.
    #[must_use]
    pub fn hears_for(&self) -> Option<Duration> {
        let state = self.state();
        let since = self.hearing(&state)?;
        Some(self.start.elapsed().saturating_sub(since))
    }

    fn hearing(&self, state: &State) -> Option<Duration> {
        let own = state.copies.get(&self.me)?;
        let late = self.start.elapsed().saturating_sub(own.last) > SUSPECTED_AFTER;
        state.hearing_since.filter(|_| !late)
    }

    /// Returns the copies that were heard.
    #[must_use]
    pub fn copies(&self) -> BTreeSet<ServiceCopy> {
        let state = self.state();
        state.copies.keys().cloned().collect()
    }

    /// Judges one copy by what was heard until now.
    #[must_use]
    pub fn judge(&self, copy: &ServiceCopy, before: Option<&Verdict>) -> Option<Verdict> {
        let state = self.state();
        let report = state
            .hosts
            .get(&copy.host)
            .filter(|_| copy.service == ServiceName::Agent)
            .map(|sight| (&sight.report, sight.received));
        judge(
            before,
            state.copies.get(copy),
            self.hearing(&state),
            report,
            self.start.elapsed(),
        )
    }
}

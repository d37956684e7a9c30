//! What was heard so far, shared by those who listen and the one who judges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use common::messages::health::{Heartbeat, Node, ServiceCopy};
use common::names::ServiceName;
use tokio::time::Instant;

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
    nodes: BTreeMap<String, (Node, Duration)>,
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
        let mut state = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Takes in a host's report.
    pub fn report(&self, node: &Node) {
        let now = self.start.elapsed();
        let mut state = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        state.nodes.insert(node.name.clone(), (node.clone(), now));
    }

    /// Whether the monitor hears its own heartbeat.
    #[must_use]
    pub fn hears(&self) -> bool {
        let state = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        self.hearing(&state).is_some()
    }

    fn hearing(&self, state: &State) -> Option<Duration> {
        let own = state.copies.get(&self.me)?;
        let late = self.start.elapsed().saturating_sub(own.last) > SUSPECTED_AFTER;
        state.hearing_since.filter(|_| !late)
    }

    /// Returns the copies that were heard.
    #[must_use]
    pub fn copies(&self) -> BTreeSet<ServiceCopy> {
        let state = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        state.copies.keys().cloned().collect()
    }

    /// Judges one copy by what was heard until now.
    #[must_use]
    pub fn judge(&self, copy: &ServiceCopy, before: Option<&Verdict>) -> Option<Verdict> {
        let state = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let report = state
            .nodes
            .get(&copy.host)
            .filter(|_| copy.service == ServiceName::Agent)
            .map(|(node, at)| (node, *at));
        judge(
            before,
            state.copies.get(copy),
            self.hearing(&state),
            report,
            self.start.elapsed(),
        )
    }
}

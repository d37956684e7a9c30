//! Whether hosts, Kafka and MongoDB are well. Pure; times are monotonic, counted from the start of the monitor.
//!
//! A bad sign counts when it is seen [`SEEN`] times in a row, a good one when it is seen twice; shares have one bound to be bad and another to
//! be well again. So one slow answer or one full moment is no news.

use std::time::Duration;

use common::messages::health::{HealthState, Node};

use crate::liveness::Verdict;

/// A sign that is seen so often in a row counts.
pub const SEEN: u32 = 3;
/// And a good one after a bad one so often.
const WELL: u32 = 2;
/// A host reports every 5 s; after so long without a report it is suspected, and after so long it is gone.
const SUSPECTED_AFTER: Duration = Duration::from_secs(12);
const GONE_AFTER: Duration = Duration::from_secs(20);
/// Shares of disk and memory that are left: below the first a host is in trouble, above the second it is well again.
const DISK: (f64, f64) = (0.10, 0.12);
const MEMORY: (f64, f64) = (0.05, 0.08);
/// A clock that is further off than this, in milliseconds, makes occurrences early or late.
pub const SKEW_MILLIS: i64 = 3000;

/// What was heard of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostSight {
    /// Its newest report.
    pub report: Node,
    /// When that came.
    pub received: Duration,
    /// Reports in a row whose time was off by more than [`SKEW_MILLIS`].
    pub skewed: u32,
}

/// Judges a host; none: nothing new can be said. `hearing_since` as in [`crate::liveness::judge`].
#[must_use]
pub fn host(
    before: Option<&Verdict>,
    sight: Option<&HostSight>,
    hearing_since: Option<Duration>,
    now: Duration,
) -> Option<Verdict> {
    let hearing_since = hearing_since?;
    let heard = sight.map_or(hearing_since, |sight| sight.received.max(hearing_since));
    let silence = now.saturating_sub(heard);
    let over = |state| before.is_some_and(|before| before.state == state);
    if silence > GONE_AFTER {
        let cause = format!(
            "no report for more than {} s: the host, its network or its node agent is gone",
            GONE_AFTER.as_secs()
        );
        return (!over(HealthState::Down)).then(|| verdict(HealthState::Down, cause));
    }
    let sight = sight?;
    if silence > SUSPECTED_AFTER {
        let cause = format!("no report for more than {} s", SUSPECTED_AFTER.as_secs());
        return (!over(HealthState::Down)).then(|| verdict(HealthState::Suspected, cause));
    }
    Some(reporting(before, sight))
}

fn reporting(before: Option<&Verdict>, sight: &HostSight) -> Verdict {
    let report = &sight.report;
    if report.engine_version.is_empty() {
        return verdict(HealthState::NotReady, "its Docker Engine does not answer");
    }
    let told = |what: &str| before.is_some_and(|before| before.cause.contains(what));
    let mut troubles = Vec::new();
    for (what, free, total, (low, well)) in [
        ("disk", report.disk_free_bytes, report.disk_total_bytes, DISK),
        (
            "memory",
            report.memory_available_bytes,
            report.memory_total_bytes,
            MEMORY,
        ),
    ] {
        let bound = if told(what) { well } else { low };
        if share(free, total) < bound {
            troubles.push(format!("less than {:.0} % of its {what} is left", well * 100.0));
        }
    }
    if sight.skewed >= SEEN {
        troubles.push(format!("its clock is off by more than {} s", SKEW_MILLIS / 1000));
    }
    if troubles.is_empty() {
        verdict(HealthState::Up, "it reports, and has room")
    } else {
        verdict(HealthState::Degraded, troubles.join("; "))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share need not be exact to the byte")]
fn share(free: u64, total: u64) -> f64 {
    if total == 0 { 1.0 } else { free as f64 / total as f64 }
}

fn verdict(state: HealthState, cause: impl Into<String>) -> Verdict {
    Verdict {
        state,
        cause: cause.into(),
    }
}

/// What one look at Kafka or MongoDB found, and how often in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looks {
    /// What is wrong; none: nothing.
    pub finding: Option<(HealthState, String)>,
    /// How often in a row.
    pub times: u32,
}

impl Looks {
    /// Takes in one more look.
    pub fn take(&mut self, finding: Option<(HealthState, String)>) {
        self.times = if self.finding == finding {
            self.times.saturating_add(1)
        } else {
            1
        };
        self.finding = finding;
    }

    /// Judges; none: nothing new can be said.
    #[must_use]
    pub fn judge(&self, before: Option<&Verdict>) -> Option<Verdict> {
        let needed = match (&self.finding, before) {
            (Some(_), _) => SEEN,
            (None, Some(before)) if before.state != HealthState::Up => WELL,
            (None, _) => 1,
        };
        (self.times >= needed).then(|| match &self.finding {
            None => verdict(HealthState::Up, "it answers"),
            Some((state, cause)) => verdict(*state, cause.clone()),
        })
    }
}

/// Says what is wrong with Kafka. `brokers` is what it should have.
#[must_use]
pub fn kafka(found: Result<runtime::kafka::Brokers, String>, brokers: usize) -> Option<(HealthState, String)> {
    let found = match found {
        Ok(found) => found,
        Err(error) => return Some((HealthState::Down, format!("it does not answer: {error}"))),
    };
    if found.without_leader > 0 {
        return Some((HealthState::Down, "partitions have no leader".to_owned()));
    }
    if found.answering < brokers {
        let cause = format!("{} of {brokers} brokers are there", found.answering);
        return Some((HealthState::Degraded, cause));
    }
    let cause = "not every broker has a copy of everything yet";
    (found.lacking_copies > 0).then(|| (HealthState::Degraded, cause.to_owned()))
}

/// Says what is wrong with MongoDB, that took so long to answer.
#[must_use]
pub fn mongodb(found: Result<Duration, String>) -> Option<(HealthState, String)> {
    match found {
        Err(error) => Some((HealthState::Down, format!("it does not answer: {error}"))),
        Ok(took) if took > Duration::from_secs(1) => Some((
            HealthState::Degraded,
            "it takes more than a second to answer".to_owned(),
        )),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests;

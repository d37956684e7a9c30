//! Who is alive, from what was heard and when. Pure; times are monotonic, counted from the start of the monitor.

use std::time::Duration;

use common::Timestamp;
use common::messages::health::{HealthState, Heartbeat, Node};

/// Silence after which a copy is suspected: a beat was lost.
pub const SUSPECTED_AFTER: Duration = Duration::from_secs(4);
/// Silence after which a copy is down.
pub const DOWN_AFTER: Duration = Duration::from_secs(8);
/// Age at which a host's report (one each 5 s) says nothing any more.
const REPORT_COUNTS_FOR: Duration = Duration::from_secs(15);
/// Share of free memory or disk below which a host is said to run out of it.
const SCARCE: f64 = 0.05;

/// What was heard of one copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// When it was last heard.
    pub last: Duration,
    /// Whether that was its farewell.
    pub farewell: bool,
    /// What its newest beat said.
    pub beat: Option<Beat>,
    /// Beats in a row without a gap that would have made it suspected.
    pub in_row: u32,
    /// Beats in a row that said the same about readiness.
    pub same_readiness: u32,
}

/// What a beat says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Process id.
    pub pid: u32,
    /// When the process started.
    pub started: Timestamp,
    /// Whether it does its work.
    pub ready: bool,
    /// What it waits for.
    pub waiting_for: Vec<String>,
}

impl Heard {
    /// Takes in a heartbeat that was received at a moment.
    #[must_use]
    pub fn after(before: Option<&Self>, heartbeat: &Heartbeat, now: Duration) -> Self {
        match heartbeat {
            Heartbeat::Farewell { .. } => Self {
                last: now,
                farewell: true,
                beat: before.and_then(|heard| heard.beat.clone()),
                in_row: 0,
                same_readiness: 0,
            },
            Heartbeat::Beat {
                pid,
                started,
                ready,
                waiting_for,
                ..
            } => {
                let beat = Beat {
                    pid: *pid,
                    started: *started,
                    ready: *ready,
                    waiting_for: waiting_for.clone(),
                };
                let alive = before.filter(|heard| !heard.farewell && now.saturating_sub(heard.last) <= SUSPECTED_AFTER);
                let same = alive.filter(|heard| heard.beat.as_ref().is_some_and(|old| old.ready == beat.ready));
                Self {
                    last: now,
                    farewell: false,
                    in_row: alive.map_or(0, |heard| heard.in_row) + 1,
                    same_readiness: same.map_or(0, |heard| heard.same_readiness) + 1,
                    beat: Some(beat),
                }
            }
        }
    }
}

/// A verdict in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The state.
    pub state: HealthState,
    /// Why. Holds no number that grows with time: a verdict that stays the same reads the same.
    pub cause: String,
}

impl Verdict {
    fn new(state: HealthState, cause: impl Into<String>) -> Self {
        Self {
            state,
            cause: cause.into(),
        }
    }
}

/// Judges a copy; none: nothing new can be said.
///
/// `before` is the verdict so far, `heard` what was heard in this life of the monitor, `hearing_since` since when the monitor hears
/// without a gap (none: it does not), `report` the newest report of the host when the copy is its agent, with its receipt.
#[must_use]
pub fn judge(
    before: Option<&Verdict>,
    heard: Option<&Heard>,
    hearing_since: Option<Duration>,
    report: Option<(&Node, Duration)>,
    now: Duration,
) -> Option<Verdict> {
    // Without ears silence means nothing.
    let hearing_since = hearing_since?;
    let Some(heard) = heard else {
        return silent(before, None, now.saturating_sub(hearing_since));
    };
    if heard.farewell {
        return Some(Verdict::new(HealthState::Stopped, "it was shut down on purpose"));
    }
    let silence = now.saturating_sub(heard.last.max(hearing_since));
    if now.saturating_sub(heard.last) > SUSPECTED_AFTER {
        return silent(before, heard.beat.as_ref(), silence);
    }
    let beat = heard.beat.as_ref()?;
    speaking(
        before,
        heard,
        beat,
        report
            .filter(|(_, at)| now.saturating_sub(*at) <= REPORT_COUNTS_FOR)
            .map(|(node, _)| node),
    )
}

/// Judges a copy that is not heard.
fn silent(before: Option<&Verdict>, beat: Option<&Beat>, silence: Duration) -> Option<Verdict> {
    let over = |state| before.is_some_and(|before| before.state == state);
    if over(HealthState::Stopped) || over(HealthState::Down) {
        return None;
    }
    let waited = beat.filter(|beat| !beat.ready).map_or_else(String::new, |beat| {
        format!("; before that it waited for {}", beat.waiting_for.join(", "))
    });
    if silence > DOWN_AFTER {
        let cause = format!(
            "no heartbeat for more than {} s: the process has ended, hangs, or can not reach kafka{waited}",
            DOWN_AFTER.as_secs()
        );
        return Some(Verdict::new(HealthState::Down, cause));
    }
    // One that was never heard in this life is not suspected before it is down: the monitor itself is new.
    if silence > SUSPECTED_AFTER && beat.is_some() {
        let cause = format!("no heartbeat for more than {} s{waited}", SUSPECTED_AFTER.as_secs());
        return Some(Verdict::new(HealthState::Suspected, cause));
    }
    None
}

/// Judges a copy that beats.
fn speaking(before: Option<&Verdict>, heard: &Heard, beat: &Beat, report: Option<&Node>) -> Option<Verdict> {
    let process = format!("process {} of {}", beat.pid, beat.started);
    let state = before.map(|before| before.state);
    // A process that beats late, once, is not well again; a new process is.
    let late = matches!(state, Some(HealthState::Suspected));
    if late && heard.in_row < 2 {
        return None;
    }
    if !beat.ready {
        // A hiccup that one beat happened to see is no news; of a new process or one that was gone it is.
        if state == Some(HealthState::Up) && heard.same_readiness < 2 && heard.in_row > 1 {
            return None;
        }
        return Some(Verdict::new(
            HealthState::NotReady,
            format!("it waits for {} ({process})", beat.waiting_for.join(", ")),
        ));
    }
    if let Some(node) = report {
        if node.engine_version.is_empty() {
            return Some(Verdict::new(
                HealthState::NotReady,
                format!("the docker engine of {} does not answer", node.name),
            ));
        }
        if let Some(what) = scarce(node) {
            return Some(Verdict::new(
                HealthState::Up,
                format!("ready, but {} has hardly any {what} left ({process})", node.name),
            ));
        }
    }
    Some(Verdict::new(HealthState::Up, format!("ready ({process})")))
}

fn scarce(node: &Node) -> Option<&'static str> {
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact to the byte")]
    let below = |free: u64, total: u64| total > 0 && (free as f64) < SCARCE * (total as f64);
    if below(node.disk_free_bytes, node.disk_total_bytes) {
        Some("disk")
    } else if below(node.memory_available_bytes, node.memory_total_bytes) {
        Some("memory")
    } else {
        None
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! Counters of a running simulation.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// A moment's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Readings that sensors have produced.
    pub generated: u64,
    /// Readings handed to a connection, repeats included.
    pub sent: u64,
    /// Readings that the platform has acknowledged; each is in the journal once.
    pub acknowledged: u64,
    /// Readings that the platform has refused.
    pub rejected: u64,
    /// Readings produced and neither acknowledged nor refused.
    pub in_flight: u64,
    /// Connections that were lost or could not be made.
    pub disconnects: u64,
    /// Commands received, without repeats.
    pub commands: u64,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} generated, {} sent, {} acknowledged, {} in flight, {} rejected, {} disconnects, {} commands",
            self.generated,
            self.sent,
            self.acknowledged,
            self.in_flight,
            self.rejected,
            self.disconnects,
            self.commands
        )
    }
}

/// The counters themselves, shared by all tasks.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) generated: AtomicU64,
    pub(crate) sent: AtomicU64,
    acknowledged: AtomicU64,
    rejected: AtomicU64,
    pub(crate) disconnects: AtomicU64,
    pub(crate) commands: AtomicU64,
    settled: Notify,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::SeqCst);
}

impl Counters {
    pub(crate) fn acknowledged(&self) {
        add(&self.acknowledged, 1);
        self.settled.notify_waiters();
    }

    pub(crate) fn rejected(&self) {
        add(&self.rejected, 1);
        self.settled.notify_waiters();
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        // What ends is read before what begins, so that the difference is never negative.
        let (acknowledged, rejected) = (load(&self.acknowledged), load(&self.rejected));
        let generated = load(&self.generated);
        Stats {
            generated,
            sent: load(&self.sent),
            acknowledged,
            rejected,
            in_flight: generated.saturating_sub(acknowledged + rejected),
            disconnects: load(&self.disconnects),
            commands: load(&self.commands),
        }
    }

    /// Waits until nothing is in flight.
    pub(crate) async fn settled(&self) {
        loop {
            let change = self.settled.notified();
            if self.snapshot().in_flight == 0 {
                return;
            }
            change.await;
        }
    }
}

//! Whether this process does its work: named parts that are ready or wait for something.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

static DEAD_LETTERS: AtomicU64 = AtomicU64::new(0);

/// Counts a message that went to a dead-letter topic; heartbeats tell the number.
pub(crate) fn count_dead_letter() {
    DEAD_LETTERS.fetch_add(1, Ordering::Relaxed);
}

/// Returns how many messages went to dead-letter topics since the start.
#[must_use]
pub fn dead_letters() -> u64 {
    DEAD_LETTERS.load(Ordering::Relaxed)
}

/// The parts of this process.
#[derive(Debug, Clone, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

/// One part that reports.
#[derive(Debug, Clone)]
pub struct Part {
    health: Health,
    name: String,
}

impl Health {
    /// Adds a part that is not ready yet.
    #[must_use]
    pub fn part(&self, name: &str) -> Part {
        let part = Part {
            health: self.clone(),
            name: name.to_owned(),
        };
        part.waits_for("its start");
        part
    }

    /// Whether each of these parts is ready; one that is not known is not.
    #[must_use]
    pub fn is_ready(&self, names: &[&str]) -> bool {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().all(|name| matches!(parts.get(*name), Some(None)))
    }

    /// Returns what the process waits for; empty when it is ready.
    #[must_use]
    pub fn waiting_for(&self) -> Vec<String> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts
            .iter()
            .filter_map(|(name, waits)| waits.as_ref().map(|waits| format!("{name}: {waits}")))
            .collect()
    }
}

impl Part {
    /// Says that the part does its work.
    pub fn ready(&self) {
        self.set(None);
    }

    /// Says what the part waits for.
    pub fn waits_for(&self, what: &str) {
        self.set(Some(what.to_owned()));
    }

    fn set(&self, waits: Option<String>) {
        self.health
            .parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(self.name.clone(), waits);
    }
}

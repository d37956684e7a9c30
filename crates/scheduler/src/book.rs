//! Which schedules to look at next: a view in memory that may be wrong; the store decides.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use common::{ScheduleId, Timestamp};

/// Next due moment of each schedule that has one.
#[derive(Debug, Default)]
pub struct Book {
    wakes: Mutex<BTreeMap<ScheduleId, Timestamp>>,
}

impl Book {
    /// Notes when to look at a schedule; none: never again.
    pub fn note(&self, schedule: ScheduleId, wake: Option<Timestamp>) {
        let mut wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        match wake {
            Some(wake) => wakes.insert(schedule, wake),
            None => wakes.remove(&schedule),
        };
    }

    /// Returns the schedules to look at, the most overdue first.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<ScheduleId> {
        let wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due: Vec<_> = wakes
            .iter()
            .filter(|(_, wake)| **wake <= now)
            .map(|(id, wake)| (*wake, *id))
            .collect();
        due.sort_unstable();
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// Returns how many schedules have another due moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether no schedule has another due moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

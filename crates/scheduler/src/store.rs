//! What the scheduler remembers of a schedule.

use std::collections::BTreeMap;

use common::messages::schedule::Schedule;
use common::{InstanceId, Timestamp};
use runtime::Entity;
use serde::{Deserialize, Serialize};

/// Instances that a schedule remembers as not over; the oldest are dropped, so that the document stays small.
const MOST_ACTIVE: usize = 500;

/// A schedule and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tracked {
    /// What others see.
    pub schedule: Schedule,
    /// Every due moment up to this one is decided.
    pub through: Timestamp,
    /// The due moment after that, also while paused; none when there is no other.
    pub wake: Option<Timestamp>,
    /// Instances that were asked for and are not over, with their due moments.
    pub active: BTreeMap<InstanceId, Timestamp>,
}

impl Tracked {
    /// Remembers an instance that was asked for.
    pub fn activate(&mut self, instance: InstanceId, due: Timestamp) {
        self.active.insert(instance, due);
        if self.active.len() > MOST_ACTIVE
            && let Some(oldest) = self.active.iter().min_by_key(|(_, due)| **due).map(|(id, _)| *id)
        {
            self.active.remove(&oldest);
        }
    }
}

impl Entity for Tracked {
    const COLLECTION: &'static str = "scheduler_schedules";
    const INDEXES: &'static [&'static str] = &["awake"];

    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("awake", awake(self.wake.is_some()).to_owned())]
    }
}

/// Value of the index `awake`: whether there is another due moment.
#[must_use]
pub fn awake(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

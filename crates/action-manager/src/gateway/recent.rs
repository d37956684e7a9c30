//! Commands that were just taken and that the store may not have yet.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use common::{ActionId, InstanceId};
use tokio::time::Instant;

/// How long a command may be on its way through Kafka.
const ON_ITS_WAY: Duration = Duration::from_secs(60);
/// Commands that are remembered before old ones are dropped.
const MOST: usize = 10_000;

/// Commands that were just taken.
#[derive(Debug, Default)]
pub(super) struct Recent {
    taken: Mutex<HashMap<ActionId, (InstanceId, Instant)>>,
}

impl Recent {
    pub(super) fn note(&self, id: ActionId, instance: InstanceId) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= MOST {
            taken.retain(|_, (_, at)| at.elapsed() < ON_ITS_WAY);
        }
        if taken.len() < MOST {
            taken.insert(id, (instance, Instant::now()));
        }
    }

    pub(super) fn knows(&self, id: ActionId, instance: InstanceId) -> bool {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken
            .get(&id)
            .is_some_and(|(by, at)| *by == instance && at.elapsed() < ON_ITS_WAY)
    }
}

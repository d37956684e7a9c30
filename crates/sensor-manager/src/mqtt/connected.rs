//! Who is connected: a second connection with the same client id takes the first one's place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use common::ConnectorId;
use tokio_util::sync::CancellationToken;

type Key = (ConnectorId, String);

/// The connections of this process. Client ids count per connector, so that nobody can push another's connection out.
#[derive(Debug, Default)]
pub(crate) struct Connected {
    entries: Mutex<HashMap<Key, (u64, CancellationToken)>>,
    numbers: std::sync::atomic::AtomicU64,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    connected: Arc<Connected>,
    key: Key,
    number: u64,
    /// Cancelled when another connection took the place.
    pub(crate) taken_over: CancellationToken,
}

impl Connected {
    pub(crate) fn enter(self: &Arc<Self>, connector: ConnectorId, client_id: &str) -> Presence {
        let number = self.numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let key = (connector, client_id.to_owned());
        let taken_over = CancellationToken::new();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, before)) = entries.insert(key.clone(), (number, taken_over.clone())) {
            before.cancel();
        }
        gauge(entries.len());
        Presence {
            connected: self.clone(),
            key,
            number,
            taken_over,
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut entries = self.connected.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            entries.remove(&self.key);
        }
        gauge(entries.len());
    }
}

fn gauge(count: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge of at most some thousands")]
    metrics::gauge!("mqtt_connections").set(count as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_takes_the_place_and_keeps_it() {
        let connected = Arc::<Connected>::default();
        let (mine, other) = (ConnectorId::new(), ConnectorId::new());
        let first = connected.enter(mine, "a");
        let elsewhere = connected.enter(other, "a");
        let second = connected.enter(mine, "a");
        assert!(first.taken_over.is_cancelled());
        drop(first);
        assert!(!second.taken_over.is_cancelled() && !elsewhere.taken_over.is_cancelled());
        let third = connected.enter(mine, "a");
        assert!(second.taken_over.is_cancelled());
        drop((second, third, elsewhere));
        assert!(connected.entries.lock().unwrap().is_empty());
    }
}

//! One reader of the live end for all connections of this process.
//!
//! Each subscriber has a bounded queue. What goes into it is exactly: every reading of its sensors from the position at
//! which it subscribed on, in order, and now and then a mark that says how far the hub has come. When a queue is full the
//! hub drops the subscription: what was queued is still read, then the queue ends, and the connection catches up by itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::SensorId;
use tokio::sync::mpsc;

use super::Position;
use super::log::{LogItem, LogReader, PlacedReading};

/// Items that wait for one connection at most.
const QUEUE: usize = 8192;
/// How often every subscriber is told how far the hub has come.
const MARK: Duration = Duration::from_millis(500);

/// What a subscriber gets.
#[derive(Debug, Clone)]
pub enum LiveItem {
    /// A reading of one of its sensors.
    Reading(Arc<PlacedReading>),
    /// Everything before was looked at.
    Mark(Arc<Position>),
}

#[derive(Debug)]
struct Subscriber {
    queue: mpsc::Sender<LiveItem>,
    sensors: HashSet<SensorId>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    ends: Position,
    subscribers: HashMap<u64, Subscriber>,
    by_sensor: HashMap<SensorId, Vec<u64>>,
}

/// The hub. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Hub {
    state: Arc<Mutex<State>>,
}

/// A place at the live end; ends when it is dropped.
#[derive(Debug)]
pub struct Subscription {
    hub: Hub,
    id: u64,
    queue: mpsc::Receiver<LiveItem>,
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how far it has come; empty before it has begun.
    #[must_use]
    pub fn ends(&self) -> Position {
        self.state().ends.clone()
    }

    /// Begins to queue the readings of these sensors; returns from which position on.
    #[must_use]
    pub fn subscribe(&self, sensors: HashSet<SensorId>) -> (Subscription, Position) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        for sensor in &sensors {
            state.by_sensor.entry(*sensor).or_default().push(id);
        }
        state.subscribers.insert(id, Subscriber { queue: sender, sensors });
        let subscription = Subscription {
            hub: self.clone(),
            id,
            queue,
        };
        (subscription, state.ends.clone())
    }

    /// Sets where it begins.
    pub fn begin(&self, start: &Position) {
        self.state().ends = start.clone();
    }

    /// Takes a record from the live end.
    pub fn take(&self, item: LogItem) {
        match item {
            LogItem::Reading(placed) => self.state().reading(&placed),
            LogItem::Other { partition, offset } => {
                self.state().ends.insert(partition, offset + 1);
            }
            LogItem::CaughtUp => {}
        }
    }

    /// Tells every subscriber how far it has come.
    pub fn mark(&self) {
        let mut state = self.state();
        let ends = Arc::new(state.ends.clone());
        let full: Vec<u64> = state
            .subscribers
            .iter()
            .filter(|(_, subscriber)| subscriber.queue.try_send(LiveItem::Mark(ends.clone())).is_err())
            .map(|(id, _)| *id)
            .collect();
        for id in full {
            state.drop_out(id);
        }
    }

    /// Follows the live end for as long as the reader does.
    ///
    /// # Errors
    /// When the reader fails for good.
    pub async fn follow(&self, mut reader: Box<dyn LogReader>) -> anyhow::Result<()> {
        let mut interval = tokio::time::interval(MARK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                item = reader.next() => self.take(item?),
                _ = interval.tick() => self.mark(),
            }
        }
    }
}

impl State {
    fn reading(&mut self, placed: &Arc<PlacedReading>) {
        self.ends.insert(placed.partition, placed.offset + 1);
        let mut full = Vec::new();
        for id in self.by_sensor.get(&placed.reading.sensor).into_iter().flatten() {
            if let Some(subscriber) = self.subscribers.get(id)
                && subscriber.queue.try_send(LiveItem::Reading(placed.clone())).is_err()
            {
                full.push(*id);
            }
        }
        for id in full {
            metrics::counter!("delivery_lagged_total").increment(1);
            self.drop_out(id);
        }
    }

    fn forget_sensors(&mut self, id: u64, sensors: &HashSet<SensorId>) {
        for sensor in sensors {
            if let Some(ids) = self.by_sensor.get_mut(sensor) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    self.by_sensor.remove(sensor);
                }
            }
        }
    }

    fn drop_out(&mut self, id: u64) {
        if let Some(subscriber) = self.subscribers.remove(&id) {
            self.forget_sensors(id, &subscriber.sensors);
        }
    }
}

impl Subscription {
    /// Returns what comes next; `None` when the queue was full. Cancel safe.
    pub async fn next(&mut self) -> Option<LiveItem> {
        self.queue.recv().await
    }

    /// From now on queues the readings of these sensors.
    pub fn set_sensors(&self, sensors: HashSet<SensorId>) {
        let mut state = self.hub.state();
        let Some(subscriber) = state.subscribers.get_mut(&self.id) else {
            return;
        };
        let before = std::mem::replace(&mut subscriber.sensors, sensors.clone());
        state.forget_sensors(self.id, &before);
        for sensor in sensors {
            state.by_sensor.entry(sensor).or_default().push(self.id);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.state().drop_out(self.id);
    }
}

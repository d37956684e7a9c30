//! The core of a connection: records in, readings out, and what a checkpoint covers. Pure.
//!
//! A reading of a sensor that fits several slots is delivered once, for the first of them by name: its position is what
//! an application derives the keys of its actions from.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use common::SensorId;
use common::manifest::ThingKind;
use common::messages::reading::Reading;

use super::dedup::Windows;
use super::frames::{BindingView, Frame};
use super::{Position, partition};

/// Readings that are delivered beyond the last durable checkpoint at most.
pub const UNSAVED: u64 = 5000;

/// A delivered reading that no checkpoint covers yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Delivered {
    n: u64,
    partition: i32,
    offset: i64,
    sensor: SensorId,
    numbered: Option<(u64, u64)>,
}

/// A bound sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    slot: String,
    name: String,
    location: String,
}

/// Where an instance is: what a checkpoint stores beside the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// What is scanned.
    pub position: Position,
    /// The partitions that were.
    pub read: BTreeSet<i32>,
    /// What was seen.
    pub windows: Windows,
}

/// Why a checkpoint makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It covers what was not delivered.
    #[error("checkpoint {n} is beyond the last reading, {sent}")]
    Ahead {
        /// What was said.
        n: u64,
        /// What was sent.
        sent: u64,
    },
    /// It covers less than an earlier one.
    #[error("checkpoint {n} is before the last one, {last}")]
    Behind {
        /// What was said.
        n: u64,
        /// The earlier one.
        last: u64,
    },
}

/// One session of one instance.
#[derive(Debug, Clone)]
pub struct Stream {
    members: HashMap<SensorId, Member>,
    needed: BTreeSet<i32>,
    /// Next offset to look at.
    scanned: Position,
    /// Seen up to what is scanned, and up to the last checkpoint.
    head: Windows,
    saved_windows: Windows,
    pending: VecDeque<Delivered>,
    sent: u64,
    repeats: u64,
    /// Up to which reading a checkpoint was asked for, and is durable.
    asked: u64,
    durable: u64,
}

impl Stream {
    /// Goes on where a checkpoint ended.
    #[must_use]
    pub fn new(mark: Mark, binding: &BindingView) -> Self {
        let mut stream = Self {
            members: HashMap::new(),
            needed: BTreeSet::new(),
            scanned: mark.position,
            head: mark.windows.clone(),
            saved_windows: mark.windows,
            pending: VecDeque::new(),
            sent: 0,
            repeats: 0,
            asked: 0,
            durable: 0,
        };
        stream.set_members(binding);
        stream
    }

    fn set_members(&mut self, binding: &BindingView) {
        let mut members = HashMap::new();
        for (slot, view) in &binding.slots {
            if view.kind != ThingKind::Sensor {
                continue;
            }
            for member in &view.members {
                members.entry(SensorId::from_uuid(member.id)).or_insert_with(|| Member {
                    slot: slot.clone(),
                    name: member.name.clone(),
                    location: member.location.clone(),
                });
            }
        }
        self.needed = members.keys().map(|sensor| partition::of_sensor(*sensor)).collect();
        self.members = members;
    }

    /// Takes another binding. What new sensors sent before `ends` in partitions that nobody needed is not theirs to tell.
    pub fn rebind(&mut self, binding: &BindingView, ends: &Position) {
        let before = std::mem::take(&mut self.needed);
        self.set_members(binding);
        let fresh: Vec<i32> = self.needed.difference(&before).copied().collect();
        for partition in fresh {
            if let Some(end) = ends.get(&partition) {
                advance(&mut self.scanned, partition, *end);
            }
        }
    }

    /// Returns the bound sensors.
    #[must_use]
    pub fn sensors(&self) -> HashSet<SensorId> {
        self.members.keys().copied().collect()
    }

    /// Whether more may be delivered.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.sent - self.durable < UNSAVED
    }

    /// Returns where to read on: the partitions that bound sensors are in.
    #[must_use]
    pub fn wanted(&self) -> Position {
        self.needed
            .iter()
            .map(|partition| (*partition, self.scanned.get(partition).copied().unwrap_or(0)))
            .collect()
    }

    /// Whether everything before `position` was looked at, in the partitions that matter.
    #[must_use]
    pub fn covers(&self, position: &Position) -> bool {
        self.behind(position) == 0
    }

    /// Returns how many records lie between here and `position`.
    #[must_use]
    pub fn behind(&self, position: &Position) -> i64 {
        let at = |position: &Position, partition| position.get(partition).copied().unwrap_or(0);
        self.needed
            .iter()
            .map(|partition| (at(position, partition) - at(&self.scanned, partition)).max(0))
            .sum()
    }

    /// Looks at a record; returns the reading to deliver, if it is one. Records may come again: they are known by their offset.
    pub fn record(&mut self, partition: i32, offset: i64, reading: &Reading) -> Option<Frame> {
        if self.scanned.get(&partition).is_some_and(|next| offset < *next) {
            return None;
        }
        self.scanned.insert(partition, offset + 1);
        let member = self.members.get(&reading.sensor)?;
        let numbered = reading.boot.zip(reading.seq);
        if let Some((boot, seq)) = numbered
            && !self.head.admit(reading.sensor, boot, seq)
        {
            self.repeats += 1;
            return None;
        }
        self.sent += 1;
        self.pending.push_back(Delivered {
            n: self.sent,
            partition,
            offset,
            sensor: reading.sensor,
            numbered,
        });
        Some(Frame::Reading {
            n: self.sent,
            position: format!("{partition}:{offset}"),
            slot: member.slot.clone(),
            sensor: reading.sensor,
            name: member.name.clone(),
            location: member.location.clone(),
            time: reading.time,
            values: reading.values.clone(),
        })
    }

    /// Notes that everything before `position` was looked at.
    pub fn progress(&mut self, position: &Position) {
        for (partition, next) in position {
            advance(&mut self.scanned, *partition, *next);
        }
    }

    /// Returns how many repeats were not delivered.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Whether a partition was looked at beyond `position`.
    #[must_use]
    pub fn is_ahead_of(&self, position: &Position) -> bool {
        self.wanted()
            .iter()
            .any(|(partition, next)| position.get(partition).is_some_and(|end| next > end))
    }

    /// Goes back to the end of a partition that lost its newest records with a host: what is written there from now on
    /// is new, whatever its offset. (Repeats are still known by their numbers.)
    pub fn step_back(&mut self, partition: i32, end: i64) {
        if let Some(next) = self.scanned.get_mut(&partition) {
            *next = (*next).min(end);
        }
    }

    /// Notes that records of a partition are gone; returns what to say.
    pub fn gap(&mut self, partition: i32, next: i64) -> Vec<Frame> {
        let here = self.scanned.get(&partition).copied().unwrap_or(0);
        if next <= here {
            return Vec::new();
        }
        let mut sensors: Vec<SensorId> = self
            .members
            .keys()
            .filter(|sensor| partition::of_sensor(**sensor) == partition)
            .copied()
            .collect();
        sensors.sort_unstable();
        advance(&mut self.scanned, partition, next);
        let lost = format!(
            "up to {} readings were deleted by retention before they were read",
            next - here
        );
        let say = |sensor| Frame::Gap {
            sensor,
            lost: lost.clone(),
        };
        sensors.into_iter().map(say).collect()
    }

    /// Takes the application's word that readings up to `n` are consumed; returns what to store.
    ///
    /// # Errors
    /// When that can not be.
    pub fn checkpoint(&mut self, n: u64) -> Result<Mark, CheckpointError> {
        if n > self.sent {
            return Err(CheckpointError::Ahead { n, sent: self.sent });
        }
        if n < self.asked {
            return Err(CheckpointError::Behind { n, last: self.asked });
        }
        self.asked = n;
        while let Some(delivered) = self.pending.pop_front_if(|delivered| delivered.n <= n) {
            if let Some((boot, seq)) = delivered.numbered {
                self.saved_windows.admit(delivered.sensor, boot, seq);
            }
        }
        let members = &self.members;
        self.saved_windows.prune(|sensor| members.contains_key(&sensor));
        // What is behind the first reading that is not covered was not for this instance or is covered.
        let mut position = self.scanned.clone();
        let mut first: BTreeMap<i32, i64> = BTreeMap::new();
        for delivered in &self.pending {
            first.entry(delivered.partition).or_insert(delivered.offset);
        }
        position.extend(first);
        Ok(Mark {
            position,
            read: self.needed.clone(),
            windows: self.saved_windows.clone(),
        })
    }

    /// Notes that a checkpoint is durable.
    pub fn saved(&mut self, n: u64) {
        self.durable = self.durable.max(n);
    }
}

fn advance(position: &mut Position, partition: i32, next: i64) {
    let here = position.entry(partition).or_insert(next);
    *here = (*here).max(next);
}

#[cfg(test)]
mod tests;

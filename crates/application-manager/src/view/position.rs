//! How far a view is in its topics, as a text that travels with whoever changed something: so a copy of this service that is asked next shows
//! at least what the one before has shown.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::Topic;

/// How long a change is remembered: longer than a copy lags behind another one.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(20);
/// Longest text that is read.
const LONGEST: usize = 4096;

/// Where a view is: topic and partition → the offset that follows.
pub(crate) type Position = BTreeMap<(Topic, i32), i64>;

/// Positions with the moment of their last change.
#[derive(Debug, Default)]
pub(super) struct Progress {
    next: BTreeMap<(Topic, i32), (i64, Instant)>,
}

impl Progress {
    pub(super) fn pass(&mut self, topic: Topic, partition: i32, offset: i64, now: Instant) {
        self.next.insert((topic, partition), (offset + 1, now));
    }

    /// Whether everything up to a position has been read.
    pub(super) fn covers(&self, position: &Position) -> bool {
        let reached = |place: &(Topic, i32)| self.next.get(place).map_or(0, |(next, _)| *next);
        position.iter().all(|(place, next)| reached(place) >= *next)
    }

    /// What has changed lately.
    pub(super) fn recent(&self, now: Instant) -> Position {
        let recent = self
            .next
            .iter()
            .filter(|(_, (_, at))| now.duration_since(*at) < REMEMBERED);
        recent.map(|(place, (next, _))| (*place, *next)).collect()
    }
}

/// Writes a position as `topic:partition:offset`, joined by `_`.
pub(crate) fn write(position: &Position) -> String {
    let parts = position
        .iter()
        .map(|((topic, partition), next)| format!("{}:{partition}:{next}", topic.name()));
    parts.collect::<Vec<_>>().join("_")
}

/// Reads a position; what is none of it says nothing.
pub(crate) fn read(text: &str) -> Position {
    let place = |part: &str| {
        let (topic, rest) = part.split_once(':')?;
        let (partition, next) = rest.split_once(':')?;
        Some(((Topic::from_name(topic)?, partition.parse().ok()?), next.parse().ok()?))
    };
    let text = text.get(..LONGEST.min(text.len())).unwrap_or_default();
    text.split('_').filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_travels_and_is_waited_for() {
        let (mut here, mut there, now) = (Progress::default(), Progress::default(), Instant::now());
        here.pass(Topic::RegistryEvents, 2, 41, now);
        here.pass(Topic::UserEvents, 0, 6, now);
        let text = write(&here.recent(now));
        assert_eq!(text, "registry.events:2:42_user.events:0:7");
        let position = read(&text);
        assert!(here.covers(&position) && !there.covers(&position));
        there.pass(Topic::RegistryEvents, 2, 41, now);
        assert!(!there.covers(&position));
        there.pass(Topic::UserEvents, 0, 9, now);
        assert!(there.covers(&position));
        assert!(here.recent(now + REMEMBERED).is_empty());
    }

    #[test]
    fn nonsense_says_nothing() {
        for text in [
            "",
            "_",
            "a:b:c",
            "registry.events:x:1",
            "nothing.events:0:1",
            "registry.events:1",
            "ü:1:2",
        ] {
            assert!(read(text).is_empty(), "{text}");
        }
    }
}

//! What an instance takes over from the previous one of its schedule, where its manifest says `carry`. Pure.
//!
//! The first session of an instance begins with a copy of the newest earlier checkpoint: position, windows and state together, so
//! that what is remembered still matches what is consumed. From then on the copy is where the line goes on, and the earlier
//! checkpoints leave it, so that a line is as short as there are instances at once.

use common::messages::instance::InstanceSpec;
use common::{ScheduleId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Position;
use super::dedup::Windows;
use super::store::{Checkpoint, Session};

/// Place of an instance in the line of those of its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The schedule.
    pub schedule: ScheduleId,
    /// When the instance was due.
    pub due: Timestamp,
}

impl Lineage {
    /// Returns the place; `None` for an instance that carries nothing.
    #[must_use]
    pub fn of(spec: &InstanceSpec) -> Option<Self> {
        spec.version.manifest.carry.then_some(Self {
            schedule: spec.schedule,
            due: spec.due,
        })
    }

    /// Whether a checkpoint is of an earlier instance of the line.
    #[must_use]
    pub fn follows(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint
            .lineage
            .is_some_and(|other| other.schedule == self.schedule && other.due < self.due)
    }
}

/// Returns the first checkpoint of an instance: what its line carries, or nothing from `start` on.
#[must_use]
pub fn first(session: Session, start: &Position, lineage: Option<Lineage>, relatives: &[Checkpoint]) -> Checkpoint {
    let previous = lineage.and_then(|lineage| {
        relatives
            .iter()
            .filter(|other| other.shard == session.shard && other.saved.is_some() && lineage.follows(other))
            .max_by_key(|other| other.lineage.map(|other| other.due))
    });
    let mut position = start.clone();
    // Where the previous one did not read, its position says nothing.
    let read = previous.into_iter().flat_map(|previous| {
        let known = previous.position.iter();
        known.filter(|(partition, _)| previous.read.contains(partition))
    });
    position.extend(read.map(|(partition, next)| (*partition, *next)));
    Checkpoint {
        instance: session.instance,
        shard: session.shard,
        session: session.number,
        position,
        read: previous.map(|previous| previous.read.clone()).unwrap_or_default(),
        windows: previous.map_or_else(Windows::default, |previous| previous.windows.clone()),
        state: previous.and_then(|previous| previous.state.clone()),
        saved: previous.and_then(|previous| previous.saved),
        lineage,
        carried: previous.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::InstanceId;
    use std::collections::BTreeSet;

    fn lineage(schedule: &str, due: i64) -> Lineage {
        Lineage {
            schedule: ScheduleId::derive(&[schedule]),
            due: Timestamp::from_millis(due),
        }
    }

    fn session() -> Session {
        Session {
            instance: InstanceId::derive(&["new"]),
            shard: 0,
            number: 1,
        }
    }

    fn relative(lineage: Option<Lineage>, state: Option<&str>) -> Checkpoint {
        Checkpoint {
            instance: InstanceId::derive(&["old"]),
            shard: 0,
            session: 9,
            position: Position::from([(0, 70), (1, 80)]),
            read: BTreeSet::from([1]),
            windows: Windows::default(),
            state: state.map(ToOwned::to_owned),
            saved: state.map(|_| Timestamp::from_millis(1)),
            lineage,
            carried: false,
        }
    }

    #[test]
    fn the_newest_earlier_checkpoint_of_the_schedule_is_carried() {
        let start = Position::from([(0, 100), (1, 100)]);
        let own = Some(lineage("s", 10));
        let at = |schedule, due, state| relative(Some(lineage(schedule, due)), state);
        for (what, lineage, relatives, expected) in [
            ("nothing to carry", None, vec![at("s", 9, Some("1"))], None),
            ("the first of its schedule", own, vec![], None),
            (
                "the newest",
                own,
                vec![at("s", 8, Some("1")), at("s", 9, Some("2")), at("s", 7, Some("3"))],
                Some("2"),
            ),
            ("a later one", own, vec![at("s", 11, Some("1"))], None),
            ("itself", own, vec![at("s", 10, Some("1"))], None),
            ("another schedule", own, vec![at("t", 9, Some("1"))], None),
            (
                "one that saved nothing",
                own,
                vec![at("s", 9, None), at("s", 8, Some("1"))],
                Some("1"),
            ),
            ("one that left the line", own, vec![relative(None, Some("1"))], None),
        ] {
            let opened = first(session(), &start, lineage, &relatives);
            assert_eq!(opened.state.as_deref(), expected, "{what}");
            assert_eq!((opened.carried, opened.session), (expected.is_some(), 1), "{what}");
            let next = if expected.is_some() { 80 } else { 100 };
            assert_eq!(opened.position, Position::from([(0, 100), (1, next)]), "{what}");
            assert_eq!(opened.lineage, lineage, "{what}");
        }
    }

    #[test]
    fn a_shard_carries_its_own() {
        let other = Checkpoint {
            shard: 1,
            ..relative(Some(lineage("s", 9)), Some("1"))
        };
        let opened = first(session(), &Position::new(), Some(lineage("s", 10)), &[other]);
        assert!(!opened.carried && opened.state.is_none());
    }
}

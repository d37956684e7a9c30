//! How far the log of a container was read, and what number each line has. Pure.
//!
//! The Engine gives lines from a *second* on. A cursor says from which second to read again, how many lines of that reading
//! are known, and the number of the last of them: the lines after those get the same numbers whoever reads them.

use std::collections::BTreeMap;

use runtime::Entity;
use serde::{Deserialize, Serialize};

const NANOS: i64 = 1_000_000_000;

/// A place in the log of a container, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The host.
    pub(crate) node: String,
    /// Second to read from.
    pub(crate) since: i64,
    /// Lines from there on that are known.
    pub(crate) known: u64,
    /// Moment of the newest of them, in nanoseconds.
    pub(crate) newest: i64,
    /// Number of the last line.
    pub(crate) number: u64,
    /// Whether the container ended and all was read.
    pub(crate) finished: bool,
}

impl Entity for Cursor {
    const COLLECTION: &'static str = "deployer_agent_cursors";
    const INDEXES: &'static [&'static str] = &["node"];

    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("node", self.node.clone())]
    }
}

/// A reading that goes on.
#[derive(Debug, Clone)]
pub(crate) struct Position {
    cursor: Cursor,
    /// Lines still to be passed over.
    skip: u64,
    /// Lines by second, from the cursor's second on.
    seconds: BTreeMap<i64, u64>,
}

impl Position {
    /// Goes on from a cursor.
    pub(crate) fn resume(cursor: Cursor) -> Self {
        Self {
            skip: cursor.known,
            cursor,
            seconds: BTreeMap::new(),
        }
    }

    /// The second to ask the Engine for.
    pub(crate) fn since(&self) -> i32 {
        i32::try_from(self.cursor.since).unwrap_or_default()
    }

    /// Takes the next line of the reading, which is logged as so many lines. Returns the first one's number; none when it is known.
    pub(crate) fn take(&mut self, nanos: i64, lines: u64) -> Option<u64> {
        let second = nanos.div_euclid(NANOS);
        *self.seconds.entry(second).or_default() += 1;
        // Where the Engine threw old lines away, fewer are there to be passed over.
        if self.skip > 0 && nanos <= self.cursor.newest {
            self.skip -= 1;
            return None;
        }
        self.skip = 0;
        self.cursor.newest = self.cursor.newest.max(nanos);
        // Two streams may be out of step by a moment: the second before the newest one is read again as well.
        let since = self.cursor.newest.div_euclid(NANOS) - 1;
        if since > self.cursor.since {
            self.cursor.since = since;
            self.seconds.retain(|second, _| *second >= since);
        }
        self.cursor.known = self.seconds.range(self.cursor.since..).map(|(_, lines)| lines).sum();
        let first = self.cursor.number + 1;
        self.cursor.number += lines;
        Some(first)
    }

    /// Where a later reading goes on.
    pub(crate) fn cursor(&self) -> &Cursor {
        &self.cursor
    }
}

/// Bytes per second that an application may log.
const BYTES_PER_SECOND: u64 = 1024 * 1024;
/// What it may log at once after a pause.
const BURST_BYTES: u64 = 2 * BYTES_PER_SECOND;

/// Lets so much through as is allowed.
#[derive(Debug)]
pub(crate) struct RateCap {
    left: u64,
    at_millis: i64,
    /// Lines that were left out since the last remark, and the first one's number and moment.
    dropped: u64,
}

impl RateCap {
    pub(crate) fn new(now_millis: i64) -> Self {
        Self {
            left: BURST_BYTES,
            at_millis: now_millis,
            dropped: 0,
        }
    }

    /// Whether a line of that size may pass.
    pub(crate) fn admits(&mut self, bytes: usize, now_millis: i64) -> bool {
        let passed = u64::try_from(now_millis - self.at_millis).unwrap_or_default();
        self.left = self
            .left
            .saturating_add(passed.saturating_mul(BYTES_PER_SECOND) / 1000)
            .min(BURST_BYTES);
        self.at_millis = self.at_millis.max(now_millis);
        let cost = bytes as u64 + 64;
        let admitted = self.left >= cost;
        if admitted {
            self.left -= cost;
        } else {
            self.dropped += 1;
        }
        admitted
    }

    /// The remark about what was left out, once.
    pub(crate) fn remark(&mut self) -> Option<String> {
        let dropped = std::mem::take(&mut self.dropped);
        (dropped > 0).then(|| format!("{dropped} lines were left out: an application may log 1 MiB per second"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a log from a cursor on, as the Engine gives it.
    fn read(log: &[i64], cursor: Cursor) -> (Vec<(usize, u64)>, Vec<Cursor>) {
        let mut position = Position::resume(cursor);
        let since = i64::from(position.since()) * NANOS;
        let (mut numbered, mut cursors) = (Vec::new(), Vec::new());
        for (index, nanos) in log.iter().enumerate().filter(|(_, nanos)| **nanos >= since) {
            if let Some(number) = position.take(*nanos, 1) {
                numbered.push((index, number));
            }
            cursors.push(position.cursor().clone());
        }
        (numbered, cursors)
    }

    proptest! {
        #[test]
        fn a_line_has_the_same_number_however_often_reading_began_anew(
            steps in prop::collection::vec(-400_000_000_i64..900_000_000, 1..60),
            restarts in prop::collection::vec(0_usize..60, 0..4),
        ) {
            // Mostly forward, sometimes a moment back, sometimes the same moment.
            let mut now = 1000 * NANOS;
            let log: Vec<i64> = steps.iter().map(|step| { let at = now + step.min(&0); now += (*step).max(0); at }).collect();
            let (all, cursors) = read(&log, Cursor::default());
            prop_assert_eq!(all.len(), log.len());
            for restart in restarts.into_iter().filter(|at| *at < cursors.len()) {
                let (rest, _) = read(&log, cursors[restart].clone());
                prop_assert_eq!(&rest[..], &all[restart + 1..]);
            }
        }
    }

    #[test]
    fn long_lines_take_several_numbers() {
        let mut position = Position::resume(Cursor::default());
        assert_eq!(position.take(5 * NANOS, 3), Some(1));
        assert_eq!(position.take(5 * NANOS, 1), Some(4));
        let mut again = Position::resume(position.cursor().clone());
        assert_eq!(again.take(5 * NANOS, 3), None);
        assert_eq!(again.take(5 * NANOS, 1), None);
        assert_eq!(again.take(5 * NANOS, 1), Some(5));
    }

    #[test]
    fn lines_that_the_engine_threw_away_do_not_hide_new_ones() {
        let cursor = Cursor {
            since: 5,
            known: 100,
            newest: 6 * NANOS,
            number: 100,
            ..Cursor::default()
        };
        assert_eq!(Position::resume(cursor).take(7 * NANOS, 1), Some(101));
    }

    #[test]
    fn the_cap_lets_a_burst_through_and_then_the_rate() {
        let mut cap = RateCap::new(0);
        let passed = (0..10_000).filter(|_| cap.admits(936, 0)).count();
        assert_eq!(passed as u64, BURST_BYTES / 1000);
        assert!(cap.remark().unwrap().starts_with("7903 lines"));
        assert_eq!(cap.remark(), None);
        assert!(cap.admits(936, 1000));
        assert!(cap.admits(936, 500), "a clock that goes back is no reason to drop");
    }
}

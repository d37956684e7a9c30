//! Which readings of a sensor were seen: recognises repeats of senders that number their readings. Pure.
//!
//! A sender repeats what was not acknowledged to it, also when the acknowledgement was lost. Kept are, for the last few
//! boots, the highest number and the numbers below it that are still missing, down to [`WINDOW`] below. Numbers may come
//! in any order within the window; each passes once. What is older than the window can not be told from a repeat and
//! does not pass.

use std::collections::BTreeMap;

use common::SensorId;
use serde::{Deserialize, Serialize};

/// How far below the highest number a missing one may still come: more than any sender has under way. Missing numbers
/// are kept as ranges, so that a wide window costs nothing.
pub const WINDOW: u64 = 1 << 16;
/// Ranges of missing numbers that are kept at most; the oldest are given up.
const RANGES: usize = 512;
/// Boots that are remembered.
const BOOTS: usize = 3;

/// What was seen of one boot of a sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    boot: u64,
    highest: u64,
    /// Ranges (both ends included) below the highest that were not seen, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<(u64, u64)>,
}

impl Window {
    fn first(boot: u64, seq: u64) -> Self {
        // What came before may have been overtaken on its way, so it is missing, not seen.
        let missing = seq
            .checked_sub(1)
            .map(|before| vec![(seq.saturating_sub(WINDOW), before)])
            .unwrap_or_default();
        Self {
            boot,
            highest: seq,
            missing,
        }
    }

    fn admit(&mut self, seq: u64) -> bool {
        if seq > self.highest {
            if seq > self.highest.saturating_add(1) {
                self.missing.push((self.highest + 1, seq - 1));
            }
            self.highest = seq;
            let floor = seq.saturating_sub(WINDOW);
            self.missing.retain(|(_, to)| *to >= floor);
            if let Some((from, _)) = self.missing.first_mut() {
                *from = (*from).max(floor);
            }
            let surplus = self.missing.len().saturating_sub(RANGES);
            self.missing.drain(..surplus);
            return true;
        }
        let Some(index) = self.missing.iter().position(|(from, to)| (*from..=*to).contains(&seq)) else {
            return false;
        };
        let (from, to) = self.missing.remove(index);
        if seq < to {
            self.missing.insert(index, (seq + 1, to));
        }
        if from < seq {
            self.missing.insert(index, (from, seq - 1));
        }
        true
    }
}

/// What was seen of all sensors of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Windows(BTreeMap<SensorId, Vec<Window>>);

impl Windows {
    /// Notes a reading; `false` when it was seen before (or is too old to tell).
    pub fn admit(&mut self, sensor: SensorId, boot: u64, seq: u64) -> bool {
        let windows = self.0.entry(sensor).or_default();
        if let Some(window) = windows.iter_mut().find(|window| window.boot == boot) {
            return window.admit(seq);
        }
        let oldest = windows.iter().map(|window| window.boot).min();
        if windows.len() >= BOOTS && oldest.is_some_and(|oldest| boot < oldest) {
            return false;
        }
        windows.push(Window::first(boot, seq));
        windows.sort_by_key(|window| std::cmp::Reverse(window.boot));
        windows.truncate(BOOTS);
        true
    }

    /// Forgets sensors that are not wanted, once there are many of them.
    pub fn prune(&mut self, wanted: impl Fn(SensorId) -> bool) {
        const SPARE: usize = 1000;
        if self.0.len() > SPARE && self.0.keys().filter(|sensor| !wanted(**sensor)).count() > SPARE {
            self.0.retain(|sensor, _| wanted(*sensor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reboot_starts_anew_and_a_straggler_of_the_boot_before_passes_once() {
        let sensor = SensorId::new();
        let mut windows = Windows::default();
        assert!(windows.admit(sensor, 1, 7));
        assert!(windows.admit(sensor, 2, 0));
        assert!(!windows.admit(sensor, 2, 0));
        assert!(windows.admit(sensor, 1, 8));
        assert!(!windows.admit(sensor, 1, 7));
        assert!(windows.admit(sensor, 3, 5));
        assert!(windows.admit(sensor, 4, 5));
        assert!(!windows.admit(sensor, 1, 9), "that boot is forgotten");
        assert!(windows.admit(SensorId::new(), 1, 9), "sensors do not mix");
    }

    #[test]
    fn in_order_nothing_is_kept_but_the_highest() {
        let sensor = SensorId::new();
        let mut windows = Windows::default();
        for seq in 0..5000 {
            assert!(windows.admit(sensor, 1, seq));
        }
        assert_eq!(
            serde_json::to_value(&windows.0[&sensor]).unwrap(),
            serde_json::json!([{"boot": 1, "highest": 4999}])
        );
    }

    #[test]
    fn a_batch_that_overtook_an_earlier_one_does_not_hide_it() {
        let sensor = SensorId::new();
        let mut windows = Windows::default();
        let order = (500..600).chain(400..600);
        let passed: Vec<u64> = order.filter(|seq| windows.admit(sensor, 1, *seq)).collect();
        assert_eq!(passed, (500..600).chain(400..500).collect::<Vec<u64>>());
    }

    proptest! {
        #[test]
        fn in_any_order_within_the_window_each_passes_once(
            jitter in prop::collection::vec((0u64..(WINDOW - 1), 0usize..3), 1..600),
            start in 0u64..5000,
        ) {
            // Each number comes at a time shifted by less than the window, some of them again.
            let mut arrivals: Vec<(u64, u64)> = Vec::new();
            for (index, (shift, repeats)) in jitter.iter().enumerate() {
                let seq = start + index as u64;
                for repeat in 0..=*repeats {
                    arrivals.push((index as u64 + (shift * (repeat as u64 + 1)) % (WINDOW - 1), seq));
                }
            }
            arrivals.sort();
            let sensor = SensorId::derive(&["s"]);
            let mut windows = Windows::default();
            let mut passed: Vec<u64> = arrivals
                .iter()
                .map(|(_, seq)| *seq)
                .filter(|seq| {
                    // As it is stored and loaded again.
                    let text = serde_json::to_string(&windows).unwrap();
                    windows = serde_json::from_str(&text).unwrap();
                    windows.admit(sensor, 9, *seq)
                })
                .collect();
            passed.sort_unstable();
            prop_assert_eq!(passed, (start..start + jitter.len() as u64).collect::<Vec<_>>());
        }
    }
}

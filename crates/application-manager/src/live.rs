//! The newest readings of each sensor and the newest command of each device, in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use common::messages::action::{Command, CommandState};
use common::messages::reading::Reading;
use common::{DeviceId, SensorId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// Readings kept per sensor: bridges the seconds until history has them.
const RECENT: usize = 64;

/// One reading as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Point {
    /// When it was measured.
    pub(crate) time: Timestamp,
    /// Property → value.
    pub(crate) values: BTreeMap<String, f64>,
}

/// What the newest command of a device was, and what the device last said of its state.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeviceNews {
    /// The newest command.
    pub(crate) command: Option<Arc<Command>>,
    /// What the device last reported, and when.
    pub(crate) reported: Option<(Timestamp, BTreeMap<String, serde_json::Value>)>,
}

/// Newest values.
#[derive(Debug, Default)]
pub(crate) struct LiveValues {
    readings: RwLock<HashMap<SensorId, VecDeque<Point>>>,
    devices: RwLock<HashMap<DeviceId, DeviceNews>>,
}

impl LiveValues {
    /// Takes a reading. Returns whether it is news.
    pub(crate) fn push(&self, reading: &Reading) -> bool {
        let mut readings = self.readings.write().unwrap_or_else(PoisonError::into_inner);
        let recent = readings.entry(reading.sensor).or_default();
        let point = Point {
            time: reading.time,
            values: reading.values.clone(),
        };
        if recent.contains(&point) {
            return false;
        }
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(point);
        true
    }

    /// Takes the newest reading of history, unless something newer came meanwhile.
    pub(crate) fn remember(&self, sensor: SensorId, point: Point) {
        let mut readings = self.readings.write().unwrap_or_else(PoisonError::into_inner);
        readings.entry(sensor).or_insert_with(|| VecDeque::from([point]));
    }

    /// Returns the newest reading of a sensor.
    pub(crate) fn last(&self, sensor: SensorId) -> Option<Point> {
        let readings = self.readings.read().unwrap_or_else(PoisonError::into_inner);
        readings.get(&sensor)?.iter().max_by_key(|point| point.time).cloned()
    }

    /// Returns the newest readings of a sensor within a time, oldest first.
    pub(crate) fn recent(&self, sensor: SensorId, from: Timestamp, to: Timestamp) -> Vec<Point> {
        let readings = self.readings.read().unwrap_or_else(PoisonError::into_inner);
        let mut points: Vec<Point> = readings
            .get(&sensor)
            .into_iter()
            .flatten()
            .filter(|point| (from..=to).contains(&point.time))
            .cloned()
            .collect();
        points.sort_by_key(|point| point.time);
        points
    }

    /// Takes what became of a command.
    pub(crate) fn command(&self, command: &Command) {
        let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
        let news = devices.entry(command.device).or_default();
        let newest = |known: &Arc<Command>| (known.at, known.version) <= (command.at, command.version);
        if news.command.as_ref().is_none_or(newest) {
            news.command = Some(Arc::new(command.clone()));
        }
        if let CommandState::Acknowledged { reported } = &command.state
            && news.reported.as_ref().is_none_or(|(at, _)| *at <= command.since)
        {
            news.reported = Some((command.since, reported.clone()));
        }
    }

    /// Returns what is new of a device.
    pub(crate) fn device(&self, device: DeviceId) -> DeviceNews {
        let devices = self.devices.read().unwrap_or_else(PoisonError::into_inner);
        devices.get(&device).cloned().unwrap_or_default()
    }

    /// Whether anything is known of a sensor.
    pub(crate) fn knows(&self, sensor: SensorId) -> bool {
        let readings = self.readings.read().unwrap_or_else(PoisonError::into_inner);
        readings.contains_key(&sensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_and_takes_repeats_once() {
        let live = LiveValues::default();
        let sensor = SensorId::new();
        let reading = |millis: i64| Reading {
            sensor,
            boot: None,
            seq: None,
            time: Timestamp::from_millis(millis),
            received: Timestamp::from_millis(millis),
            values: BTreeMap::from([("temperature".to_owned(), 1.0)]),
        };
        for millis in 0..100 {
            assert!(live.push(&reading(millis)));
            assert!(!live.push(&reading(millis)));
        }
        assert_eq!(live.last(sensor).unwrap().time, Timestamp::from_millis(99));
        let all = live.recent(sensor, Timestamp::from_millis(0), Timestamp::from_millis(1000));
        assert_eq!(all.len(), RECENT);
        assert_eq!(all[0].time, Timestamp::from_millis(36));
    }
}

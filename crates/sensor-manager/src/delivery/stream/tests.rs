use std::collections::BTreeMap;

use super::*;
use crate::delivery::frames::{MemberView, SlotView};
use common::Timestamp;
use proptest::prelude::*;

fn sensor(index: usize) -> SensorId {
    SensorId::derive(&["sensor", &index.to_string()])
}

fn binding(sensors: &[usize]) -> BindingView {
    let members = sensors
        .iter()
        .map(|index| MemberView {
            id: sensor(*index).uuid(),
            name: format!("sensor {index}"),
            location: "Lab".to_owned(),
            unit: None,
        })
        .collect();
    let slot = SlotView {
        kind: ThingKind::Sensor,
        members,
    };
    BindingView {
        slots: BTreeMap::from([("t".to_owned(), slot)]),
    }
}

fn reading(index: usize, seq: u64) -> Reading {
    Reading {
        sensor: sensor(index),
        boot: Some(1),
        seq: Some(seq),
        time: Timestamp::from_millis(0),
        received: Timestamp::from_millis(0),
        values: BTreeMap::from([("seq".to_owned(), seq as f64)]),
    }
}

fn sent(frame: Option<Frame>) -> Option<(u64, SensorId, u64)> {
    match frame? {
        Frame::Reading { n, sensor, values, .. } => Some((n, sensor, values["seq"] as u64)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_checkpoint_covers_what_was_consumed_and_all_that_was_not_for_us() {
    let mut stream = Stream::new(Mark::default(), &binding(&[0]));
    let ours = partition::of_sensor(sensor(0));
    for (offset, index) in [(10, 0), (11, 5), (12, 0), (13, 5)] {
        stream.record(ours, offset, &reading(index, offset as u64));
    }
    stream.progress(&Position::from([(ours + 100, 44)]));
    let mark = stream.checkpoint(1).unwrap();
    assert_eq!(mark.position, Position::from([(ours, 12), (ours + 100, 44)]));
    let mark = stream.checkpoint(2).unwrap();
    assert_eq!(mark.position, Position::from([(ours, 14), (ours + 100, 44)]));
    assert_eq!(stream.checkpoint(3), Err(CheckpointError::Ahead { n: 3, sent: 2 }));
    assert_eq!(stream.checkpoint(1), Err(CheckpointError::Behind { n: 1, last: 2 }));
    assert!(stream.checkpoint(2).is_ok(), "the same again, with another state");
}

#[test]
fn unsaved_readings_are_bounded() {
    let mut stream = Stream::new(Mark::default(), &binding(&[0]));
    let mut offset = 0;
    while stream.has_room() {
        stream.record(0, offset, &reading(0, offset as u64));
        offset += 1;
    }
    assert_eq!(offset, 5000);
    stream.checkpoint(10).unwrap();
    assert!(!stream.has_room(), "asked for is not durable");
    stream.saved(10);
    assert!(stream.has_room());
}

#[test]
fn a_gap_names_the_sensors_of_the_partition() {
    let mut stream = Stream::new(Mark::default(), &binding(&[0]));
    let ours = partition::of_sensor(sensor(0));
    assert_eq!(stream.gap(ours, 7).len(), 1);
    assert!(stream.gap(ours, 7).is_empty());
    assert!(stream.gap(ours + 1, 7).is_empty(), "nobody of ours is there");
    assert_eq!(sent(stream.record(ours, 6, &reading(0, 1))), None);
    assert!(sent(stream.record(ours, 7, &reading(0, 2))).is_some());
}

#[test]
fn a_new_sensor_begins_at_the_end_and_others_go_on() {
    let other = (1..)
        .find(|index| partition::of_sensor(sensor(*index)) != partition::of_sensor(sensor(0)))
        .unwrap();
    let (p0, p1) = (partition::of_sensor(sensor(0)), partition::of_sensor(sensor(other)));
    let mut stream = Stream::new(Mark::default(), &binding(&[0]));
    assert_eq!(stream.wanted(), Position::from([(p0, 0)]));
    stream.rebind(&binding(&[0, other]), &Position::from([(p0, 50), (p1, 60)]));
    assert_eq!(stream.wanted(), Position::from([(p0, 0), (p1, 60)]));
    assert!(!stream.covers(&Position::from([(p0, 1)])));
    assert!(stream.covers(&Position::from([(p1, 60), (99, 1)])));
}

/// What an application remembers: per sensor the numbers it has counted, in order.
type State = BTreeMap<SensorId, Vec<u64>>;

#[derive(Debug, Clone)]
enum Step {
    /// The server or the application dies; a new session goes on from the checkpoint.
    Crash,
    /// Reads so many records, of them this many again from before.
    Read { records: usize, again: usize },
    /// Checkpoints this share (of 4) of what is not yet consumed; durable or lost with the next crash.
    Checkpoint { share: u64, durable: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Crash),
        5 => (1usize..40, 0usize..40).prop_map(|(records, again)| Step::Read { records, again }),
        4 => (0u64..=4, prop::bool::weighted(0.8)).prop_map(|(share, durable)| Step::Checkpoint { share, durable }),
    ]
}

/// One partition with readings of three sensors (and a stranger's), each in order but for repeats of runs.
fn log() -> impl Strategy<Value = Vec<(usize, u64)>> {
    prop::collection::vec((0usize..4, 0u64..8), 50..300).prop_map(|picks| {
        let mut next = [0u64; 4];
        let mut log = Vec::new();
        for (index, back) in picks {
            // A sender that lost its acknowledgements sends the last few once more.
            let from = next[index].saturating_sub(if back < 3 { back * 5 } else { 0 });
            for seq in from..=next[index] {
                log.push((index, seq));
            }
            next[index] += 1;
        }
        log
    })
}

proptest! {
    #[test]
    fn whatever_dies_every_reading_is_counted_once_and_in_order(
        log in log(),
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let ours = [0usize, 1, 2];
        let mut stored: (Mark, State) = Default::default();
        let mut stream = Stream::new(stored.0.clone(), &binding(&ours));
        let mut consumed = State::default();
        let mut delivered: Vec<(u64, State)> = vec![(0, State::default())];
        let mut at = 0usize;
        let finish = [Step::Crash, Step::Read { records: usize::MAX, again: 0 }, Step::Checkpoint { share: 4, durable: true }];
        for step in steps.into_iter().chain(finish) {
            match step {
                Step::Crash => {
                    stream = Stream::new(stored.0.clone(), &binding(&ours));
                    consumed = stored.1.clone();
                    delivered = vec![(0, consumed.clone())];
                    at = stored.0.position.get(&0).map_or(0, |next| *next as usize);
                }
                Step::Read { records, again } => {
                    let start = at.saturating_sub(again);
                    let end = start.saturating_add(records).min(log.len());
                    for (offset, (index, seq)) in log.iter().enumerate().take(end).skip(start) {
                        let frame = stream.record(0, offset as i64, &reading(*index, *seq));
                        if let Some((n, sensor, seq)) = sent(frame) {
                            consumed.entry(sensor).or_default().push(seq);
                            prop_assert_eq!(n, delivered.len() as u64);
                            delivered.push((n, consumed.clone()));
                        }
                    }
                    at = at.max(end);
                }
                Step::Checkpoint { share, durable } => {
                    let last = stream.asked;
                    let n = last + (delivered.len() as u64 - 1 - last) * share / 4;
                    let mark = stream.checkpoint(n).unwrap();
                    if durable {
                        stored = (mark, delivered[n as usize].1.clone());
                        stream.saved(n);
                    }
                }
            }
        }
        for index in ours {
            let sent = log.iter().filter(|(who, _)| *who == index).map(|(_, seq)| seq + 1).max().unwrap_or(0);
            let counted = stored.1.get(&sensor(index)).cloned().unwrap_or_default();
            prop_assert_eq!(counted, (0..sent).collect::<Vec<_>>());
        }
    }
}

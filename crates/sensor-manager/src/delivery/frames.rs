//! What is said on the stream, as ARCHITECTURE.md fixes it.

use std::collections::BTreeMap;

use common::manifest::ThingKind;
use common::messages::binding::BoundSlot;
use common::{DeviceId, SensorId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::registry::Directory;

/// Server → application.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Frame {
    /// Another replica holds the session.
    Standby,
    /// The session is this connection's.
    Opened {
        /// Its number.
        session: u64,
        /// What the application remembered last.
        state: Option<Box<RawValue>>,
        /// Whether the state is another instance's.
        carried: bool,
        /// What is bound.
        binding: BindingView,
    },
    /// A reading.
    Reading {
        /// Counts from 1 in this session.
        n: u64,
        /// `partition:offset`.
        position: String,
        /// The slot.
        slot: String,
        /// The sensor.
        sensor: SensorId,
        /// Its name.
        name: String,
        /// Path of its location.
        location: String,
        /// When it was measured.
        time: Timestamp,
        /// Property → value.
        values: BTreeMap<String, f64>,
    },
    /// The bound set changed.
    Binding {
        /// What is bound now.
        binding: BindingView,
    },
    /// The live end is reached.
    CaughtUp,
    /// All that was present when the stream opened is delivered.
    End,
    /// The checkpoint is durable.
    Checkpointed {
        /// Up to which reading.
        n: u64,
    },
    /// Readings were lost before they were read.
    Gap {
        /// Of which sensor they may have been.
        sensor: SensorId,
        /// Why.
        lost: String,
    },
    /// A newer session exists.
    Fenced,
}

/// Application → server. The state stays text, so that what is given back is what was saved, to the last digit.
#[derive(Debug, Deserialize)]
pub struct Checkpoint<'a> {
    /// `checkpoint`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// Readings up to this one are consumed.
    pub n: u64,
    /// What is remembered of them.
    #[serde(borrow, default)]
    pub state: Option<&'a RawValue>,
}

/// What is bound, as an application sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BindingView {
    /// By slot.
    pub slots: BTreeMap<String, SlotView>,
}

/// A slot, as an application sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlotView {
    /// Sensors or devices.
    pub kind: ThingKind,
    /// In order of name.
    pub members: Vec<MemberView>,
}

/// A bound sensor or device, as an application sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberView {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Path of its location.
    pub location: String,
    /// Unit of what it measures (of the first property of its type).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl BindingView {
    /// Shows bound slots; the directory knows the units.
    #[must_use]
    pub fn of(slots: &BTreeMap<String, BoundSlot>, directory: &Directory) -> Self {
        let unit = |kind, id| match kind {
            ThingKind::Sensor => {
                let facts = directory.sensor(SensorId::from_uuid(id))?;
                facts.type_.properties.values().next()?.unit.clone()
            }
            ThingKind::Device => directory.device(DeviceId::from_uuid(id)).and(None),
        };
        let slots = slots
            .iter()
            .map(|(name, slot)| {
                let members = slot
                    .members
                    .iter()
                    .map(|member| MemberView {
                        id: member.id,
                        name: member.name.clone(),
                        location: member.location.clone(),
                        unit: unit(slot.kind, member.id),
                    })
                    .collect();
                let view = SlotView {
                    kind: slot.kind,
                    members,
                };
                (name.clone(), view)
            })
            .collect();
        Self { slots }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(frame: &Frame) -> String {
        serde_json::to_string(frame).unwrap()
    }

    #[test]
    fn frames_read_as_the_architecture_says() {
        let state = RawValue::from_string(r#"{"mean":21.500000000000004}"#.to_owned()).unwrap();
        let opened = Frame::Opened {
            session: 7,
            state: Some(state),
            carried: false,
            binding: BindingView::default(),
        };
        assert_eq!(
            json(&opened),
            r#"{"type":"opened","session":7,"state":{"mean":21.500000000000004},"carried":false,"binding":{"slots":{}}}"#
        );
        let opened = Frame::Opened {
            session: 1,
            state: None,
            carried: false,
            binding: BindingView::default(),
        };
        assert!(json(&opened).contains(r#""state":null"#));
        assert_eq!(json(&Frame::CaughtUp), r#"{"type":"caught_up"}"#);
        assert_eq!(
            json(&Frame::Checkpointed { n: 17 }),
            r#"{"type":"checkpointed","n":17}"#
        );
    }

    #[test]
    fn a_checkpoint_keeps_the_text_of_the_state() {
        let text = r#"{"type":"checkpoint","n":17,"state":{"sum":1e400,"big":123456789012345678901234567890}}"#;
        let checkpoint: Checkpoint<'_> = serde_json::from_str(text).unwrap();
        assert_eq!((checkpoint.kind, checkpoint.n), ("checkpoint", 17));
        assert_eq!(
            checkpoint.state.unwrap().get(),
            r#"{"sum":1e400,"big":123456789012345678901234567890}"#
        );
    }
}

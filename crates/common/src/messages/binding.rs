//! Bindings and sessions: `binding.events`, `session.events`.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::ThingKind;
use crate::{InstanceId, Message, Timestamp, Topic};

/// What the slots of an instance are bound to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Binding {
    /// The instance.
    pub instance: InstanceId,
    /// Bound, or what is missing.
    #[serde(flatten)]
    pub state: BindingState,
    /// Grows with each change.
    pub version: u64,
}

/// Bound, or what is missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BindingState {
    /// Every slot has what it needs.
    Bound {
        /// By slot.
        slots: BTreeMap<String, BoundSlot>,
    },
    /// Something is missing; checked again when the registry changes.
    Unsatisfied {
        /// What is missing, one per slot.
        missing: Vec<Missing>,
    },
    /// The instance is over.
    Released,
}

/// What a slot is bound to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BoundSlot {
    /// Sensors or devices.
    pub kind: ThingKind,
    /// In order of name.
    pub members: Vec<BoundMember>,
}

/// A bound sensor or device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BoundMember {
    /// Id of the sensor or device.
    pub id: uuid::Uuid,
    /// Its name.
    pub name: String,
    /// Name of its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Path of its location.
    pub location: String,
}

/// What a slot lacks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Missing {
    /// The slot.
    pub slot: String,
    /// Sensors or devices.
    pub kind: ThingKind,
    /// Type that is needed.
    #[serde(rename = "type")]
    pub type_name: String,
    /// How many are needed at least.
    pub need: u32,
    /// How many the place has.
    pub have: u32,
    /// Path of the place.
    pub place: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ThingKind::Sensor => "sensor",
            ThingKind::Device => "device",
        };
        let plural = if self.need == 1 { "" } else { "s" };
        write!(
            f,
            "`{}` needs {} {} {kind}{plural}, {} has {}",
            self.slot, self.need, self.type_name, self.place, self.have
        )
    }
}

/// What happened to a binding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BindingEvent {
    /// It is new or changed.
    Changed {
        /// The whole binding.
        binding: Box<Binding>,
    },
}

/// Who acts for an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SessionEvent {
    /// A process took the session; older sessions of the instance may act no more.
    Opened {
        /// The instance.
        instance: InstanceId,
        /// The shard; 0 where the instance has one state.
        shard: u32,
        /// Grows with each session of the shard.
        session: u64,
        /// The process, as it calls itself.
        replica: String,
        /// When.
        at: Timestamp,
    },
}

impl Message for BindingEvent {
    const TOPIC: Topic = Topic::BindingEvents;
    fn key(&self) -> String {
        match self {
            Self::Changed { binding } => binding.instance.to_string(),
        }
    }
}

impl Message for SessionEvent {
    const TOPIC: Topic = Topic::SessionEvents;
    fn key(&self) -> String {
        match self {
            Self::Opened { instance, shard, .. } => format!("{instance}/{shard}"),
        }
    }
}

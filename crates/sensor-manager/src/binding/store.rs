//! Where bindings lie.

use common::messages::binding::{Binding, BindingState};
use runtime::Entity;
use serde::{Deserialize, Serialize};

use super::decision::Wanted;
use crate::delivery::Position;
use crate::delivery::carry::Lineage;

/// A binding as a document, with what only this service needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BindingRecord {
    /// What others see.
    pub binding: Binding,
    /// What is wanted; none for an instance that was over before it was wanted.
    pub wanted: Option<Wanted>,
    /// Where `sensor.data` ended when the instance was bound: its readings begin here, so that none is lost while its
    /// container starts.
    #[serde(default)]
    pub start: Position,
    /// Whose checkpoint the instance may begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
}

impl Entity for BindingRecord {
    const COLLECTION: &'static str = "sensor_manager_bindings";
    const INDEXES: &'static [&'static str] = &["open"];
    fn index(&self) -> Vec<(&'static str, String)> {
        let open = !matches!(self.binding.state, BindingState::Released);
        vec![("open", open.to_string())]
    }
    /// Its readings begin where new topics do.
    fn beside_new_topics(&self) -> Option<Self> {
        Some(Self {
            start: Position::new(),
            ..self.clone()
        })
    }
}

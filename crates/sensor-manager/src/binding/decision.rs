//! What an instance is bound to now. Pure.

use std::collections::BTreeMap;

use common::LocationId;
use common::manifest::Slot;
use common::messages::binding::BindingState;
use common::rules::matching::{self, Place};
use serde::{Deserialize, Serialize};

/// What an instance wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// The manifest's slots.
    pub slots: BTreeMap<String, Slot>,
    /// The place.
    pub location: LocationId,
    /// Its path when it was chosen.
    pub location_path: String,
}

/// Returns the first state of a binding.
#[must_use]
pub fn first(wanted: &Wanted, place: Option<&Place>) -> BindingState {
    let matched = match place {
        Some(place) => matching::match_slots(&wanted.slots, place),
        None => {
            let missing = matching::all_missing(&wanted.slots, &wanted.location_path);
            if missing.is_empty() {
                Ok(BTreeMap::new())
            } else {
                Err(missing)
            }
        }
    };
    match matched {
        Ok(slots) => BindingState::Bound { slots },
        Err(missing) => BindingState::Unsatisfied { missing },
    }
}

/// Returns the state that follows; `None` when it stays.
#[must_use]
pub fn follow(current: &BindingState, wanted: &Wanted, place: Option<&Place>) -> Option<BindingState> {
    let next = match current {
        BindingState::Released => return None,
        BindingState::Unsatisfied { .. } => first(wanted, place),
        BindingState::Bound { slots } => BindingState::Bound {
            slots: match place {
                Some(place) => matching::fill_slots(&wanted.slots, place),
                None => {
                    let mut left = slots.clone();
                    left.values_mut().for_each(|slot| slot.members.clear());
                    left
                }
            },
        },
    };
    (next != *current).then_some(next)
}

//! Which sensors and devices of a place fit the slots of a manifest.
//!
//! A place is a location and everything below it. A slot takes every sensor (or device) of its type there, in order of
//! name, up to its `max`; fewer than its `min` leave the instance waiting. One sensor may fit several slots.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::LocationId;
use crate::manifest::{Slot, ThingKind};
use crate::messages::binding::{BoundMember, BoundSlot, Missing};
use crate::messages::registry::{Device, Location, Sensor};

/// Levels of the location tree at most; the registry refuses deeper ones.
pub const MAX_DEPTH: usize = 16;

/// Between the names of a path.
const SEPARATOR: &str = " / ";

/// A location with what is there and below.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    location: LocationId,
    path: String,
    members: Vec<(ThingKind, BoundMember)>,
}

/// Locations by id, to walk upwards.
pub type Tree<'a> = HashMap<LocationId, &'a Location>;

/// Makes a tree of locations.
pub fn tree<'a>(locations: impl IntoIterator<Item = &'a Location>) -> Tree<'a> {
    locations.into_iter().map(|location| (location.id, location)).collect()
}

/// Returns a location and those above it, nearest first; empty when it does not exist. Ends at a gap or a cycle.
#[must_use]
pub fn upwards<'a>(tree: &Tree<'a>, location: LocationId) -> Vec<&'a Location> {
    let mut chain: Vec<&Location> = Vec::new();
    let mut next = Some(location);
    while let Some(found) = next.and_then(|id| tree.get(&id))
        && chain.iter().all(|seen| seen.id != found.id)
    {
        chain.push(found);
        next = found.parent;
    }
    chain
}

/// Returns the names from the root to the location, as people read them: `Building A / Lab`.
#[must_use]
pub fn path(tree: &Tree<'_>, location: LocationId) -> Option<String> {
    let chain = upwards(tree, location);
    (!chain.is_empty()).then(|| {
        let names: Vec<&str> = chain.iter().rev().map(|location| location.name.as_str()).collect();
        names.join(SEPARATOR)
    })
}

impl Place {
    /// Collects what is at the location or below; `None` when there is no such location.
    pub fn of<'a>(
        location: LocationId,
        locations: impl IntoIterator<Item = &'a Location>,
        sensors: impl IntoIterator<Item = &'a Sensor>,
        devices: impl IntoIterator<Item = &'a Device>,
    ) -> Option<Self> {
        let tree = tree(locations);
        let path_of_place = path(&tree, location)?;
        let sensors = sensors.into_iter().map(|sensor| {
            (
                ThingKind::Sensor,
                sensor.id.uuid(),
                &sensor.name,
                &sensor.type_name,
                sensor.location,
            )
        });
        let devices = devices.into_iter().map(|device| {
            (
                ThingKind::Device,
                device.id.uuid(),
                &device.name,
                &device.type_name,
                device.location,
            )
        });
        let mut members: Vec<(ThingKind, BoundMember)> = sensors
            .chain(devices)
            .filter(|(.., at)| upwards(&tree, *at).iter().any(|above| above.id == location))
            .map(|(kind, id, name, type_name, at)| {
                let member = BoundMember {
                    id,
                    name: name.clone(),
                    type_name: type_name.to_string(),
                    location: path(&tree, at).unwrap_or_default(),
                };
                (kind, member)
            })
            .collect();
        members.sort_by(|(_, a), (_, b)| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Some(Self {
            location,
            path: path_of_place,
            members,
        })
    }

    /// Returns the location.
    #[must_use]
    pub fn location(&self) -> LocationId {
        self.location
    }

    /// Returns the path of the location.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the ids of the sensors there.
    pub fn sensors(&self) -> impl Iterator<Item = Uuid> {
        self.members
            .iter()
            .filter(|(kind, _)| *kind == ThingKind::Sensor)
            .map(|(_, member)| member.id)
    }

    fn fitting(&self, kind: ThingKind, type_name: &str) -> impl Iterator<Item = &BoundMember> {
        self.members
            .iter()
            .filter(move |(found, member)| *found == kind && member.type_name == type_name)
            .map(|(_, member)| member)
    }
}

/// Fills the slots with what the place has, whether or not it is enough.
#[must_use]
pub fn fill_slots(slots: &BTreeMap<String, Slot>, place: &Place) -> BTreeMap<String, BoundSlot> {
    slots
        .iter()
        .filter_map(|(name, slot)| {
            let (kind, type_name) = slot.need()?;
            let max = slot
                .max
                .map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
            let members = place.fitting(kind, type_name.as_str()).take(max).cloned().collect();
            Some((name.clone(), BoundSlot { kind, members }))
        })
        .collect()
}

/// Fills the slots, or says what is missing.
///
/// # Errors
/// Every slot for which the place has too few.
pub fn match_slots(slots: &BTreeMap<String, Slot>, place: &Place) -> Result<BTreeMap<String, BoundSlot>, Vec<Missing>> {
    let missing: Vec<Missing> = slots
        .iter()
        .filter_map(|(name, slot)| {
            let (kind, type_name) = slot.need()?;
            let have = u32::try_from(place.fitting(kind, type_name.as_str()).count()).unwrap_or(u32::MAX);
            (have < slot.min).then(|| Missing {
                slot: name.clone(),
                kind,
                type_name: type_name.to_string(),
                need: slot.min,
                have,
                place: place.path.clone(),
            })
        })
        .collect();
    if missing.is_empty() {
        Ok(fill_slots(slots, place))
    } else {
        Err(missing)
    }
}

/// Says what every slot lacks when the place itself is gone.
#[must_use]
pub fn all_missing(slots: &BTreeMap<String, Slot>, place: &str) -> Vec<Missing> {
    slots
        .iter()
        .filter_map(|(name, slot)| {
            let (kind, type_name) = slot.need()?;
            (slot.min > 0).then(|| Missing {
                slot: name.clone(),
                kind,
                type_name: type_name.to_string(),
                need: slot.min,
                have: 0,
                place: place.to_owned(),
            })
        })
        .collect()
}

/// Counts what a place has, by kind and type.
#[must_use]
pub fn offers(place: &Place) -> BTreeMap<(ThingKind, String), u32> {
    let mut counts = BTreeMap::new();
    for (kind, member) in &place.members {
        *counts.entry((*kind, member.type_name.clone())).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConnectorId, DeviceId, SensorId, Timestamp};

    struct World {
        locations: Vec<Location>,
        sensors: Vec<Sensor>,
        devices: Vec<Device>,
    }

    fn location(name: &str, parent: Option<LocationId>) -> Location {
        Location {
            id: LocationId::derive(&[name]),
            name: name.to_owned(),
            kind: "room".to_owned(),
            parent,
            grants: Vec::new(),
            version: 1,
        }
    }

    impl World {
        fn new() -> Self {
            let site = location("Site", None);
            let lab = location("Lab", Some(site.id));
            let hall = location("Hall", Some(site.id));
            Self {
                locations: vec![site, lab, hall],
                sensors: Vec::new(),
                devices: Vec::new(),
            }
        }
        fn sensor(mut self, name: &str, type_name: &str, at: &str) -> Self {
            self.sensors.push(Sensor {
                id: SensorId::derive(&[name]),
                name: name.to_owned(),
                type_name: type_name.parse().unwrap(),
                location: LocationId::derive(&[at]),
                connector: ConnectorId::derive(&["c"]),
                created: Timestamp::from_millis(0),
                version: 1,
            });
            self
        }
        fn device(mut self, name: &str, type_name: &str, at: &str) -> Self {
            self.devices.push(Device {
                id: DeviceId::derive(&[name]),
                name: name.to_owned(),
                type_name: type_name.parse().unwrap(),
                location: LocationId::derive(&[at]),
                connector: ConnectorId::derive(&["c"]),
                created: Timestamp::from_millis(0),
                version: 1,
            });
            self
        }
        fn place(&self, at: &str) -> Option<Place> {
            Place::of(LocationId::derive(&[at]), &self.locations, &self.sensors, &self.devices)
        }
    }

    fn slots(json: &str) -> BTreeMap<String, Slot> {
        serde_json::from_str(json).unwrap()
    }

    fn names(slot: &BoundSlot) -> Vec<&str> {
        slot.members.iter().map(|member| member.name.as_str()).collect()
    }

    #[test]
    fn takes_what_is_there_and_below_in_order_of_name_up_to_max() {
        let world = World::new()
            .sensor("north", "temperature", "Lab")
            .sensor("east", "temperature", "Site")
            .sensor("other", "temperature", "Hall")
            .sensor("wet", "humidity", "Lab")
            .device("fan 2", "fan", "Lab")
            .device("fan 1", "fan", "Lab");
        let wanted = slots(r#"{"t": {"sensor": "temperature"}, "fan": {"device": "fan", "max": 1}}"#);
        let bound = match_slots(&wanted, &world.place("Site").unwrap()).unwrap();
        assert_eq!(names(&bound["t"]), ["east", "north", "other"]);
        assert_eq!(names(&bound["fan"]), ["fan 1"]);
        assert_eq!(bound["t"].members[1].location, "Site / Lab");
        let bound = match_slots(&wanted, &world.place("Lab").unwrap()).unwrap();
        assert_eq!(names(&bound["t"]), ["north"]);
        let offered = offers(&world.place("Lab").unwrap());
        assert_eq!(offered[&(ThingKind::Device, "fan".to_owned())], 2);
        assert_eq!(offered[&(ThingKind::Sensor, "temperature".to_owned())], 1);
        assert!(world.place("Nowhere").is_none());
    }

    #[test]
    fn says_what_is_missing_in_words() {
        let world = World::new().sensor("north", "temperature", "Lab");
        let wanted = slots(
            r#"{"t": {"sensor": "temperature", "min": 2}, "fan": {"device": "fan"}, "any": {"sensor": "motion", "min": 0}}"#,
        );
        let missing = match_slots(&wanted, &world.place("Lab").unwrap()).unwrap_err();
        let words: Vec<String> = missing.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "`fan` needs 1 fan device, Site / Lab has 0",
                "`t` needs 2 temperature sensors, Site / Lab has 1"
            ]
        );
    }

    #[test]
    fn a_cycle_in_the_tree_ends() {
        let (a, b) = (LocationId::derive(&["A"]), LocationId::derive(&["B"]));
        let locations = [location("A", Some(b)), location("B", Some(a))];
        assert_eq!(path(&tree(&locations), a).unwrap(), "B / A");
    }
}

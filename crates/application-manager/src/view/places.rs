//! The tree of places: paths for people, the way up, what lies below.

use common::LocationId;
use common::messages::registry::{Location, Right};

use super::View;
use crate::rights::{self, Actor};

/// Deeper trees are cut: a loop of parents must not hang a request.
const DEEPEST: usize = 32;

impl View {
    /// Returns a location and everything above it, lowest first.
    pub(crate) fn chain(&self, id: LocationId) -> impl Iterator<Item = &Location> {
        let mut next = Some(id);
        std::iter::from_fn(move || {
            let location = self.locations.get(&next?)?;
            next = location.parent;
            Some(location)
        })
        .take(DEEPEST)
    }

    /// Returns the path of a location for people: `Building A / Lab`.
    pub(crate) fn path(&self, id: LocationId) -> String {
        let mut names: Vec<&str> = self.chain(id).map(|location| location.name.as_str()).collect();
        if names.is_empty() {
            return "a place that was deleted".to_owned();
        }
        names.reverse();
        names.join(" / ")
    }

    /// Whether `inner` is `outer` or lies below it.
    pub(crate) fn is_within(&self, inner: LocationId, outer: LocationId) -> bool {
        self.chain(inner).any(|location| location.id == outer)
    }

    /// Returns the right of someone at a place.
    pub(crate) fn right(&self, actor: &Actor, id: LocationId) -> Option<Right> {
        rights::right_at(actor, self.chain(id))
    }

    /// Whether someone may register and change things at a place.
    pub(crate) fn manages(&self, actor: &Actor, id: LocationId) -> bool {
        rights::manages(actor, self.right(actor, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_loops() {
        let (a, b, c) = (LocationId::new(), LocationId::new(), LocationId::new());
        let mut view = View::default();
        for (id, name, parent) in [(a, "Campus", None), (b, "Building A", Some(a)), (c, "Lab", Some(b))] {
            view.locations.insert(
                id,
                Location {
                    id,
                    name: name.to_owned(),
                    kind: String::new(),
                    parent,
                    grants: Vec::new(),
                    version: 1,
                },
            );
        }
        assert_eq!(view.path(c), "Campus / Building A / Lab");
        assert!(view.is_within(c, a) && view.is_within(a, a) && !view.is_within(a, c));
        view.locations.get_mut(&a).unwrap().parent = Some(c);
        assert_eq!(view.chain(c).count(), DEEPEST);
    }
}

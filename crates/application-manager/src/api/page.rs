//! Lists: `?after=&limit=` → `{items, next}`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Entries of a page when the client does not say.
const USUAL: usize = 100;
/// Entries of a page at most.
const MOST: usize = 500;

/// Which part of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// `next` of the page before.
    pub(crate) after: Option<String>,
    /// Entries at most, 1 to 500 (100 when not given).
    pub(crate) limit: Option<usize>,
}

impl Paging {
    /// Returns how many entries at most.
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(USUAL).clamp(1, MOST)
    }
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The entries.
    pub(crate) items: Vec<T>,
    /// Value of `after` for the next page; none: this is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// Cuts a page out of entries that each have a place in the order; only those of the page are rendered.
pub(crate) fn page<E, T>(entries: Vec<(String, E)>, paging: &Paging, render: impl Fn(E) -> T) -> Page<T> {
    let mut entries: Vec<(String, E)> = match &paging.after {
        None => entries,
        Some(after) => entries.into_iter().filter(|(place, _)| place > after).collect(),
    };
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    let more = entries.len() > paging.limit();
    entries.truncate(paging.limit());
    let next = entries.last().filter(|_| more).map(|(place, _)| place.clone());
    Page {
        items: entries.into_iter().map(|(_, entry)| render(entry)).collect(),
        next,
    }
}

/// Returns a place in an order by name; names may be equal, ids are not.
pub(crate) fn by_name(name: &str, id: impl std::fmt::Display) -> String {
    format!("{}/{id}", name.to_lowercase())
}

/// Returns a place in an order from the newest to the oldest.
pub(crate) fn newest_first(time: common::Timestamp, id: impl std::fmt::Display) -> String {
    format!("{:016}/{id}", 9_999_999_999_999_999_i64 - time.millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pages_put_together_are_the_list(names in proptest::collection::btree_set("[a-z]{1,6}", 0..60), limit in 1_usize..20) {
            let entries = || names.iter().rev().map(|name| (name.clone(), name.clone())).collect::<Vec<_>>();
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let part = page(entries(), &Paging { after: after.clone(), limit: Some(limit) }, |name| name);
                prop_assert!(part.items.len() <= limit);
                all.extend(part.items);
                after = part.next;
                if after.is_none() { break; }
            }
            prop_assert_eq!(all, names.iter().cloned().collect::<Vec<_>>());
        }
    }
}

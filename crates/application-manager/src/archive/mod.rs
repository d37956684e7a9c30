//! What is too much for memory: notifications, commands, audit, quarantine; and the history that the sensor manager writes.

mod keeper;
mod memory;
mod store;

use std::collections::BTreeMap;

use async_trait::async_trait;
use common::{SensorId, Timestamp};
use runtime::StoreError;

use crate::live::Point;

pub(crate) use keeper::Keeper;
#[cfg(test)]
pub(crate) use memory::MemoryArchive;
pub(crate) use store::MongoArchive;

/// A collection of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Shelf {
    /// Notifications, by `owner`, `instance`.
    Notifications,
    /// Commands, by `device`, `instance`.
    Commands,
    /// Who did what, by `actor`.
    Audit,
    /// Readings that did not pass, by `connector`.
    Quarantine,
}

impl Shelf {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Notifications, Self::Commands, Self::Audit, Self::Quarantine];

    /// Returns the collection's name.
    pub(crate) fn collection(self) -> &'static str {
        match self {
            Self::Notifications => "view_notifications",
            Self::Commands => "view_commands",
            Self::Audit => "view_audit",
            Self::Quarantine => "view_quarantine",
        }
    }

    /// Returns the fields that rows are looked up by.
    pub(crate) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Notifications => &["owner", "instance"],
            Self::Commands => &["device", "instance"],
            Self::Audit => &["actor"],
            Self::Quarantine => &["connector"],
        }
    }
}

/// One entry of a shelf.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Identity.
    pub(crate) id: String,
    /// The highest one stays.
    pub(crate) version: u64,
    /// When it happened.
    pub(crate) at: Timestamp,
    /// What it is looked up by.
    pub(crate) fields: BTreeMap<&'static str, String>,
    /// JSON.
    pub(crate) body: String,
}

impl Row {
    /// Returns where the row stands: rows are listed from the highest to the lowest.
    pub(crate) fn place(&self) -> String {
        format!("{:015}/{}", self.at.millis().max(0), self.id)
    }
}

/// Where rows lie.
#[async_trait]
pub(crate) trait Archive: Send + Sync + 'static {
    /// Puts a row; an older version changes nothing.
    async fn put(&self, shelf: Shelf, row: &Row) -> Result<(), StoreError>;
    /// Returns rows, newest first, below a place.
    async fn list(
        &self,
        shelf: Shelf,
        filter: &[(&'static str, String)],
        below: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;
    /// Deletes rows that happened before, in whole hours of the day before it.
    async fn forget(&self, shelf: Shelf, before: Timestamp) -> Result<(), StoreError>;
    /// As the former, however old they are: looks at everything.
    async fn forget_all(&self, shelf: Shelf, before: Timestamp) -> Result<(), StoreError>;
    /// Returns readings of a sensor, oldest first: the newest `limit` of that time.
    async fn readings(
        &self,
        sensor: SensorId,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> Result<Vec<Point>, StoreError>;
}

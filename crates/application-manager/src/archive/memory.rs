//! The archive in memory, for tests of routes.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use common::{SensorId, Timestamp};
use runtime::StoreError;

use super::{Archive, Row, Shelf};
use crate::live::Point;

/// Rows and readings in maps.
#[derive(Debug, Default)]
pub(crate) struct MemoryArchive {
    rows: Mutex<BTreeMap<(Shelf, String), Row>>,
    /// Readings by sensor, oldest first.
    pub(crate) readings: Mutex<BTreeMap<SensorId, Vec<Point>>>,
}

#[async_trait]
impl Archive for MemoryArchive {
    async fn put(&self, shelf: Shelf, row: &Row) -> Result<(), StoreError> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let known = rows.entry((shelf, row.id.clone())).or_insert_with(|| row.clone());
        if known.version < row.version {
            *known = row.clone();
        }
        Ok(())
    }

    async fn list(
        &self,
        shelf: Shelf,
        filter: &[(&'static str, String)],
        below: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Row> = rows
            .iter()
            .filter(|((on, _), _)| *on == shelf)
            .map(|(_, row)| row.clone())
            .filter(|row| filter.iter().all(|(field, value)| row.fields.get(field) == Some(value)))
            .filter(|row| below.is_none_or(|below| row.place().as_str() < below))
            .collect();
        found.sort_by_key(|row| std::cmp::Reverse(row.place()));
        found.truncate(limit);
        Ok(found)
    }

    async fn forget(&self, shelf: Shelf, before: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.retain(|(on, _), row| *on != shelf || row.at >= before);
        Ok(())
    }

    async fn forget_all(&self, shelf: Shelf, before: Timestamp) -> Result<(), StoreError> {
        self.forget(shelf, before).await
    }

    async fn readings(
        &self,
        sensor: SensorId,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> Result<Vec<Point>, StoreError> {
        let readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Point> = readings
            .get(&sensor)
            .into_iter()
            .flatten()
            .filter(|point| (from..=to).contains(&point.time))
            .cloned()
            .collect();
        found.drain(..found.len().saturating_sub(limit));
        Ok(found)
    }
}

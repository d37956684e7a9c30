//! The archive on MongoDB. Stays inside what MongoDB 7/8 and FerretDB have in common; fields that are sorted by are strings or integers.
//!
//! Readings are looked up, and old rows deleted, by the equality of one indexed text: FerretDB answers a range by looking at everything.

use async_trait::async_trait;
use common::bulk::{HISTORY_COLLECTION, HISTORY_LAYOUT, HistoryBucket, HistoryPoint, slices};
use common::{SensorId, Timestamp};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mongodb::bson::{Document, doc};
use mongodb::{Collection, Database, IndexModel};
use runtime::StoreError;
use runtime::mongo::{is_duplicate, unavailable};

use super::{Archive, Row, Shelf};
use crate::live::Point;

/// Tries to replace a row that others replace at the same time.
const TRIES: usize = 10;
/// Slices of history that are asked for at once.
const SLICES: usize = 8;
/// Hours before the oldest kept one that retention looks through each time.
const LOOK_BACK: i64 = 24;

/// Rows in `view_*`, history in the collection of the sensor manager.
#[derive(Debug, Clone)]
pub(crate) struct MongoArchive {
    database: Database,
}

impl MongoArchive {
    /// Works on a database.
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Makes the indexes.
    ///
    /// # Errors
    /// When the server fails.
    pub(crate) async fn ensure(&self) -> Result<(), StoreError> {
        for shelf in Shelf::ALL {
            let fields = shelf.fields().iter().map(|field| format!("fields.{field}"));
            for field in fields.chain(["place".to_owned(), "hour".to_owned()]) {
                let model = IndexModel::builder().keys(doc! { field: 1 }).build();
                self.shelf(shelf)
                    .create_index(model)
                    .await
                    .map_err(unavailable("create an index"))?;
            }
        }
        Ok(())
    }

    fn shelf(&self, shelf: Shelf) -> Collection<Document> {
        self.database.collection(shelf.collection())
    }

    /// Returns the readings of a slice, newest first.
    async fn slice(&self, slice: String, from: Timestamp, to: Timestamp) -> Result<Vec<HistoryPoint>, StoreError> {
        let buckets: Vec<HistoryBucket> = self
            .database
            .collection(HISTORY_COLLECTION)
            .find(doc! { "slice": slice, "layout": HISTORY_LAYOUT })
            .await
            .map_err(unavailable("find"))?
            .try_collect()
            .await
            .map_err(unavailable("find"))?;
        Ok(newest_first(buckets, from, to))
    }
}

/// Returns what lies between two moments, newest first.
fn newest_first(buckets: Vec<HistoryBucket>, from: Timestamp, to: Timestamp) -> Vec<HistoryPoint> {
    let mut points: Vec<HistoryPoint> = buckets
        .into_iter()
        .flat_map(|bucket| bucket.readings)
        .filter(|point| (from..=to).contains(&point.time))
        .collect();
    points.sort_by_key(|point| std::cmp::Reverse(point.time));
    points
}

/// Returns the hour in which something happened, by which it is deleted.
fn hour(at: Timestamp) -> i64 {
    at.millis().div_euclid(3_600_000)
}

fn encode(row: &Row) -> Document {
    let mut fields = Document::new();
    for (field, value) in &row.fields {
        fields.insert(*field, value);
    }
    doc! {
        "_id": &row.id,
        "version": i64::try_from(row.version).unwrap_or(i64::MAX),
        "at_ms": row.at.millis(),
        "hour": hour(row.at).to_string(),
        "place": row.place(),
        "fields": fields,
        "body": &row.body,
    }
}

fn decode(shelf: Shelf, found: &Document) -> Result<Row, StoreError> {
    let id = found.get_str("_id").unwrap_or_default().to_owned();
    let corrupt = |error: mongodb::bson::error::Error| StoreError::Corrupt {
        collection: shelf.collection().to_owned(),
        id: id.clone(),
        message: error.to_string(),
    };
    let fields = found.get_document("fields").map_err(corrupt)?;
    Ok(Row {
        version: found.get_i64("version").map_err(corrupt)?.unsigned_abs(),
        at: Timestamp::from_millis(found.get_i64("at_ms").map_err(corrupt)?),
        fields: shelf
            .fields()
            .iter()
            .filter_map(|field| Some((*field, fields.get_str(field).ok()?.to_owned())))
            .collect(),
        body: found.get_str("body").map_err(corrupt)?.to_owned(),
        id,
    })
}

#[async_trait]
impl Archive for MongoArchive {
    async fn put(&self, shelf: Shelf, row: &Row) -> Result<(), StoreError> {
        let collection = self.shelf(shelf);
        let document = encode(row);
        for _ in 0..TRIES {
            let known = collection
                .find_one(doc! { "_id": &row.id })
                .await
                .map_err(unavailable("find"))?;
            let Some(known) = known else {
                match collection.insert_one(&document).await {
                    Ok(_) => return Ok(()),
                    Err(error) if is_duplicate(&error) => continue,
                    Err(error) => return Err(unavailable("insert")(error)),
                }
            };
            let version = decode(shelf, &known)?.version;
            if version >= row.version {
                return Ok(());
            }
            let filter = doc! { "_id": &row.id, "version": i64::try_from(version).unwrap_or(i64::MAX) };
            let replaced = collection
                .replace_one(filter, &document)
                .await
                .map_err(unavailable("replace"))?;
            if replaced.matched_count == 1 {
                return Ok(());
            }
        }
        Err(StoreError::Contention {
            collection: shelf.collection(),
            id: row.id.clone(),
        })
    }

    async fn list(
        &self,
        shelf: Shelf,
        filter: &[(&'static str, String)],
        below: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut query = Document::new();
        for (field, value) in filter {
            query.insert(format!("fields.{field}"), value);
        }
        if let Some(below) = below {
            query.insert("place", doc! { "$lt": below });
        }
        let found: Vec<Document> = self
            .shelf(shelf)
            .find(query)
            .sort(doc! { "place": -1 })
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .await
            .map_err(unavailable("list"))?
            .try_collect()
            .await
            .map_err(unavailable("list"))?;
        found.iter().map(|found| decode(shelf, found)).collect()
    }

    async fn forget(&self, shelf: Shelf, before: Timestamp) -> Result<(), StoreError> {
        let oldest = hour(before);
        for hour in oldest - LOOK_BACK..oldest {
            self.shelf(shelf)
                .delete_many(doc! { "hour": hour.to_string() })
                .await
                .map_err(unavailable("delete"))?;
        }
        Ok(())
    }

    async fn forget_all(&self, shelf: Shelf, before: Timestamp) -> Result<(), StoreError> {
        self.shelf(shelf)
            .delete_many(doc! { "at_ms": { "$lt": before.millis() } })
            .await
            .map(|_| ())
            .map_err(unavailable("delete"))
    }

    async fn readings(
        &self,
        sensor: SensorId,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> Result<Vec<Point>, StoreError> {
        let mut found = stream::iter(slices(sensor, from.millis(), to.millis()))
            .map(|slice| self.slice(slice, from, to))
            .buffered(SLICES);
        let mut newest_first: Vec<HistoryPoint> = Vec::new();
        while newest_first.len() < limit
            && let Some(points) = found.try_next().await?
        {
            newest_first.extend(points);
        }
        newest_first.truncate(limit);
        Ok(newest_first
            .into_iter()
            .rev()
            .map(|point| Point {
                time: point.time,
                values: point.values,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::bulk::slice;
    use std::collections::BTreeMap;

    fn bucket(sensor: SensorId, number: usize, millis: &[i64]) -> HistoryBucket {
        let slice = slice(sensor, millis[0]);
        HistoryBucket {
            id: format!("{slice}/0/{number}"),
            layout: HISTORY_LAYOUT,
            slice,
            sensor,
            from_ms: millis[0],
            to_ms: millis[millis.len() - 1],
            readings: millis
                .iter()
                .map(|millis| HistoryPoint {
                    time: Timestamp::from_millis(*millis),
                    values: BTreeMap::from([("temperature".to_owned(), 0.1 + 0.2)]),
                })
                .collect(),
        }
    }

    #[test]
    fn buckets_overlap_and_only_what_was_asked_for_is_left() {
        let sensor = SensorId::derive(&["s"]);
        let buckets = vec![bucket(sensor, 0, &[10, 30, 50]), bucket(sensor, 1, &[20, 40])];
        let at = Timestamp::from_millis;
        let found: Vec<i64> = newest_first(buckets, at(20), at(40))
            .iter()
            .map(|point| point.time.millis())
            .collect();
        assert_eq!(found, [40, 30, 20]);
    }

    #[cfg(feature = "store-tests")]
    #[tokio::test]
    async fn on_a_server_the_newest_readings_are_given_and_old_rows_forgotten() {
        let client = mongodb::Client::with_uri_str(std::env::var("IOT_TEST_MONGODB").unwrap())
            .await
            .unwrap();
        let database = client.database(&format!("iot_test_{}", uuid::Uuid::now_v7().simple()));
        let archive = MongoArchive::new(database.clone());
        archive.ensure().await.unwrap();
        let (sensor, other) = (SensorId::derive(&["s"]), SensorId::derive(&["o"]));
        let ten = 600_000;
        let buckets = [
            bucket(sensor, 0, &[10, 30]),
            bucket(sensor, 1, &[20]),
            bucket(sensor, 2, &[ten + 5]),
            bucket(sensor, 3, &[3 * ten]),
            bucket(other, 4, &[25]),
        ];
        let documents: Vec<Document> = buckets
            .iter()
            .map(|bucket| mongodb::bson::serialize_to_document(bucket).unwrap())
            .collect();
        database
            .collection::<Document>(HISTORY_COLLECTION)
            .insert_many(documents)
            .await
            .unwrap();
        let read = async |from: i64, to: i64, limit: usize| {
            let (from, to) = (Timestamp::from_millis(from), Timestamp::from_millis(to));
            let found = archive.readings(sensor, from, to, limit).await.unwrap();
            assert!(found.iter().all(|point| point.values["temperature"] == 0.1 + 0.2));
            found.iter().map(|point| point.time.millis()).collect::<Vec<_>>()
        };
        assert_eq!(read(0, 4 * ten, 100).await, [10, 20, 30, ten + 5, 3 * ten]);
        assert_eq!(read(20, ten + 5, 2).await, [30, ten + 5]);
        assert_eq!(read(31, ten, 9).await, [0; 0]);

        let row = |id: &str, hours: i64| Row {
            id: id.to_owned(),
            version: 1,
            at: Timestamp::from_millis(hours * 3_600_000),
            fields: BTreeMap::from([("actor", "a".to_owned())]),
            body: "{}".to_owned(),
        };
        for (id, hours) in [("ancient", 1), ("old", 99), ("kept", 100)] {
            archive.put(Shelf::Audit, &row(id, hours)).await.unwrap();
        }
        let left = async || {
            let rows = archive.list(Shelf::Audit, &[], None, 10).await.unwrap();
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        let before = Timestamp::from_millis(100 * 3_600_000 + 1);
        archive.forget(Shelf::Audit, before).await.unwrap();
        assert_eq!(left().await, ["kept", "ancient"]);
        archive.forget_all(Shelf::Audit, before).await.unwrap();
        assert_eq!(left().await, [""; 0]);
        database.drop().await.unwrap();
    }
}

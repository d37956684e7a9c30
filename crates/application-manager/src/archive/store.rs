//! The archive on MongoDB. Stays inside what MongoDB 7/8 and FerretDB have in common; fields that are sorted by are strings or integers.

use async_trait::async_trait;
use common::bulk::{HISTORY_COLLECTION, HistoryBucket, HistoryPoint};
use common::{SensorId, Timestamp};
use futures_util::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use mongodb::{Collection, Database, IndexModel};
use runtime::StoreError;
use runtime::mongo::{is_duplicate, unavailable};

use super::{Archive, Row, Shelf};
use crate::live::Point;

/// Tries to replace a row that others replace at the same time.
const TRIES: usize = 10;
/// Buckets that are read at once.
const BUCKETS: i64 = 200;

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
            for field in fields.chain(["place".to_owned(), "at_ms".to_owned()]) {
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

    async fn buckets(
        &self,
        sensor: SensorId,
        from_ms: i64,
        to_ms: i64,
        limit: i64,
    ) -> Result<Vec<HistoryBucket>, StoreError> {
        let query = doc! { "sensor": sensor.to_string(), "from_ms": { "$lte": to_ms }, "to_ms": { "$gte": from_ms } };
        self.database
            .collection::<HistoryBucket>(HISTORY_COLLECTION)
            .find(query)
            .sort(doc! { "from_ms": -1 })
            .limit(limit)
            .await
            .map_err(unavailable("find"))?
            .try_collect()
            .await
            .map_err(unavailable("find"))
    }
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
        let mut upper = to.millis();
        // Newest first, a page of buckets after the other, until there are enough.
        let mut newest_first: Vec<HistoryPoint> = Vec::new();
        loop {
            let page = if limit == 1 { 1 } else { BUCKETS };
            let buckets = self.buckets(sensor, from.millis(), upper, page).await?;
            let full = i64::try_from(buckets.len()).unwrap_or(i64::MAX) == page;
            let lowest = buckets.last().map_or(upper, |bucket| bucket.from_ms);
            for bucket in buckets {
                newest_first.extend(bucket.readings.into_iter().rev());
            }
            if !full || newest_first.len() >= limit || lowest - 1 < from.millis() {
                break;
            }
            upper = lowest - 1;
        }
        let mut points: Vec<Point> = newest_first
            .into_iter()
            .filter(|point| (from..=to).contains(&point.time))
            .take(limit)
            .map(|point| Point {
                time: point.time,
                values: point.values,
            })
            .collect();
        points.sort_by_key(|point| point.time);
        Ok(points)
    }
}

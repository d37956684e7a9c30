//! Where history lies: a collection of buckets, layout in `common::bulk`.

use bson::{Document, doc};
use common::bulk::{HISTORY_COLLECTION, HistoryBucket};
use mongodb::{Collection, Database, IndexModel};
use runtime::StoreError;
use runtime::mongo::unavailable;

/// A bucket with where its readings lie on `sensor.data`, which is how a repeated write finds it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedBucket {
    /// Partition.
    pub partition: i32,
    /// Offset of the first reading.
    pub offset: i64,
    /// The bucket.
    pub bucket: HistoryBucket,
}

/// The collection.
#[derive(Debug, Clone)]
pub struct HistoryStore {
    buckets: Collection<Document>,
}

impl HistoryStore {
    /// Takes the collection of a database.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self {
            buckets: database.collection(HISTORY_COLLECTION),
        }
    }

    /// Makes the indexes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ensure(&self) -> Result<(), StoreError> {
        for keys in [
            doc! {"sensor": 1, "from_ms": 1},
            doc! {"to_ms": 1},
            doc! {"partition": 1, "offset": 1},
        ] {
            self.buckets
                .create_index(IndexModel::builder().keys(keys).build())
                .await
                .map_err(unavailable("create an index of history"))?;
        }
        Ok(())
    }

    /// Writes buckets; one that is there already stays.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn insert(&self, buckets: &[PlacedBucket]) -> Result<(), StoreError> {
        if buckets.is_empty() {
            return Ok(());
        }
        let documents = buckets.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        match self.buckets.insert_many(documents).ordered(false).await {
            Ok(_) => Ok(()),
            Err(error) if only_duplicates(&error) => Ok(()),
            Err(error) => Err(unavailable("write history")(error)),
        }
    }

    /// Deletes what partitions have from an offset on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_from(&self, places: &[(i32, i64)]) -> Result<(), StoreError> {
        if places.is_empty() {
            return Ok(());
        }
        let any: Vec<Document> = places
            .iter()
            .map(|(partition, offset)| doc! {"partition": partition, "offset": {"$gte": offset}})
            .collect();
        self.buckets
            .delete_many(doc! {"$or": any})
            .await
            .map(drop)
            .map_err(unavailable("delete history that is written again"))
    }

    /// Deletes buckets whose last reading is older.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_before(&self, millis: i64) -> Result<(), StoreError> {
        self.buckets
            .delete_many(doc! {"to_ms": {"$lt": millis}})
            .await
            .map(drop)
            .map_err(unavailable("delete old history"))
    }
}

fn encode(placed: &PlacedBucket) -> Result<Document, StoreError> {
    let mut document = bson::serialize_to_document(&placed.bucket).map_err(|error| StoreError::Corrupt {
        collection: HISTORY_COLLECTION.to_owned(),
        id: placed.bucket.id.clone(),
        message: error.to_string(),
    })?;
    document.insert("partition", placed.partition);
    document.insert("offset", placed.offset);
    Ok(document)
}

/// The same batch was written before: its answer was lost.
fn only_duplicates(error: &mongodb::error::Error) -> bool {
    use mongodb::error::ErrorKind;
    match error.kind.as_ref() {
        ErrorKind::InsertMany(many) => {
            many.write_concern_error.is_none()
                && many
                    .write_errors
                    .as_ref()
                    .is_some_and(|errors| errors.iter().all(|error| error.code == 11000))
        }
        _ => false,
    }
}

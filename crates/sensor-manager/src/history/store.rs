//! Where history lies: a collection of buckets (layout in `common::bulk`), and how far it goes.

use bson::{Document, doc};
use common::bulk::{HISTORY_COLLECTION, HistoryBucket};
use mongodb::{Collection, Database, IndexModel};
use runtime::mongo::unavailable;
use runtime::{Applied, ApplyError, Change, Entities, Entity, StoreError};
use serde::{Deserialize, Serialize};

use super::hour_of;
use crate::delivery::Position;

/// How far history goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Partition of `sensor.data` → the offset that follows what is written.
    pub next: Position,
    /// The oldest hour (since 1970) that may still have buckets.
    pub oldest_hour: Option<i64>,
}

impl Entity for Progress {
    const COLLECTION: &'static str = "sensor_manager_history";
    fn beside_new_topics(&self) -> Option<Self> {
        Some(Self {
            next: Position::new(),
            ..self.clone()
        })
    }
}

/// The one document of [`Progress`].
const PROGRESS: &str = "progress";

/// The collection and its progress.
#[derive(Debug, Clone)]
pub struct HistoryStore {
    buckets: Collection<Document>,
    progress: Entities<Progress>,
}

impl HistoryStore {
    /// Takes the collection of a database.
    #[must_use]
    pub fn new(database: &Database, progress: Entities<Progress>) -> Self {
        Self {
            buckets: database.collection(HISTORY_COLLECTION),
            progress,
        }
    }

    /// Makes the indexes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ensure(&self) -> Result<(), StoreError> {
        for keys in [doc! {"slice": 1}, doc! {"hour": 1}] {
            self.buckets
                .create_index(IndexModel::builder().keys(keys).build())
                .await
                .map_err(unavailable("create an index of history"))?;
        }
        Ok(())
    }

    /// Returns how far every partition is written.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn written(&self) -> Result<Position, StoreError> {
        let progress = self.progress.get(PROGRESS).await?;
        Ok(progress.map(|stored| stored.entity.next).unwrap_or_default())
    }

    /// Notes how far partitions are written; returns it for all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note(&self, ends: &Position) -> Result<Position, StoreError> {
        let noted = self
            .change(|progress| {
                for (partition, end) in ends {
                    let next = progress.next.entry(*partition).or_insert(*end);
                    // One that is late does not take back what another copy has written since.
                    *next = (*next).max(*end);
                }
            })
            .await?;
        Ok(noted.next)
    }

    async fn change(&self, change: impl Fn(&mut Progress) + Send + Sync) -> Result<Progress, StoreError> {
        let applied = self.progress.apply(PROGRESS, None, |current: Option<&Progress>, _| {
            let mut entity = current.cloned().unwrap_or_default();
            change(&mut entity);
            Ok::<_, std::convert::Infallible>(Change::Put {
                entity,
                records: Vec::new(),
            })
        });
        match applied.await {
            Ok(Applied::Changed(stored)) => Ok(stored.entity),
            Ok(Applied::Deleted | Applied::Kept(_) | Applied::Duplicate(_)) => Ok(Progress::default()),
            Err(ApplyError::Refused(never)) => match never {},
            Err(ApplyError::Store(error)) => Err(error),
        }
    }

    /// Writes buckets; one that is there already is replaced: its batch was written, but not noted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn write(&self, buckets: &[HistoryBucket]) -> Result<(), StoreError> {
        if buckets.is_empty() {
            return Ok(());
        }
        let documents = buckets.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        let there = match self.buckets.insert_many(&documents).ordered(false).await {
            Ok(_) => return Ok(()),
            Err(error) => already_there(&error).ok_or_else(|| unavailable("write history")(error))?,
        };
        for document in there.into_iter().filter_map(|index| documents.get(index)) {
            let id = document.get_str("_id").unwrap_or_default();
            self.buckets
                .replace_one(doc! {"_id": id}, document)
                .await
                .map_err(unavailable("write history again"))?;
        }
        Ok(())
    }

    /// Deletes hours before `keep_from`. One delete per hour, by equality, and each hour once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep(&self, this_hour: i64, keep_from: i64) -> Result<(), StoreError> {
        let progress = self.progress.get(PROGRESS).await?;
        let Some(oldest) = progress.and_then(|stored| stored.entity.oldest_hour) else {
            self.change(|progress| progress.oldest_hour = Some(this_hour)).await?;
            return Ok(());
        };
        for hour in oldest..keep_from {
            self.buckets
                .delete_many(doc! {"hour": hour.to_string()})
                .await
                .map_err(unavailable("delete old history"))?;
            self.change(|progress| progress.oldest_hour = Some(hour + 1)).await?;
        }
        Ok(())
    }
}

fn encode(bucket: &HistoryBucket) -> Result<Document, StoreError> {
    let mut document = bson::serialize_to_document(bucket).map_err(|error| StoreError::Corrupt {
        collection: HISTORY_COLLECTION.to_owned(),
        id: bucket.id.clone(),
        message: error.to_string(),
    })?;
    // When it was measured is the sender's word and may lie anywhere; when it is written decides when it is deleted.
    let hour = hour_of(common::Timestamp::now().millis());
    document.insert("hour", hour.to_string());
    Ok(document)
}

/// Returns which documents of an insert exist already; `None` when it failed for another reason as well.
fn already_there(error: &mongodb::error::Error) -> Option<Vec<usize>> {
    use mongodb::error::ErrorKind;
    let ErrorKind::InsertMany(many) = error.kind.as_ref() else {
        return None;
    };
    let errors = many
        .write_errors
        .as_ref()
        .filter(|_| many.write_concern_error.is_none())?;
    errors
        .iter()
        .map(|error| (error.code == 11000).then_some(error.index))
        .collect()
}

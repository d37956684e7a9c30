//! Entities on documents: decide, compare and swap, publish, trim.

use std::marker::PhantomData;
use std::sync::Arc;

use common::MessageId;

use super::{Document, Documents, Entity, StoreError};
use crate::bus::{Bus, Record};

/// Ids of handled messages that a document remembers.
const SEEN: usize = 256;
/// Tries of a compare-and-swap that others win.
const TRIES: usize = 50;

/// An entity with its version.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<T> {
    /// Identity.
    pub id: String,
    /// Version of the document.
    pub version: u64,
    /// The entity.
    pub entity: T,
}

/// What a decision makes of an entity.
#[derive(Debug, Clone, PartialEq)]
pub enum Change<T> {
    /// Nothing.
    Keep,
    /// Write it and publish the records.
    Put {
        /// The entity.
        entity: T,
        /// What to publish.
        records: Vec<Record>,
    },
    /// Delete it and publish the records.
    Delete {
        /// What to publish.
        records: Vec<Record>,
    },
}

/// What came of an application.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied<T> {
    /// The entity was written.
    Changed(Stored<T>),
    /// The entity was deleted.
    Deleted,
    /// The decision was to keep what is.
    Kept(Option<Stored<T>>),
    /// The message was handled before; its records are published again if they were still pending.
    Duplicate(Option<Stored<T>>),
}

/// Why a change was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError<E> {
    /// The decision refused.
    #[error("{0}")]
    Refused(E),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The entities of one kind.
pub struct Entities<T> {
    pub(super) documents: Arc<dyn Documents>,
    pub(super) bus: Bus,
    /// One task of a process settles, the others find it done.
    pub(super) settling: Arc<tokio::sync::Mutex<()>>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Entities<T> {
    fn clone(&self) -> Self {
        Self {
            documents: self.documents.clone(),
            bus: self.bus.clone(),
            settling: self.settling.clone(),
            kind: PhantomData,
        }
    }
}

impl<T: Entity> std::fmt::Debug for Entities<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entities")
            .field("collection", &T::COLLECTION)
            .finish_non_exhaustive()
    }
}

impl<T: Entity> Entities<T> {
    /// Works on a store and publishes on a bus.
    #[must_use]
    pub fn new(documents: Arc<dyn Documents>, bus: Bus) -> Self {
        Self {
            documents,
            bus,
            settling: Arc::default(),
            kind: PhantomData,
        }
    }

    /// Makes the indexes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ensure(&self) -> Result<(), StoreError> {
        self.documents.ensure(T::COLLECTION, T::INDEXES).await
    }

    /// Returns an entity.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, id: &str) -> Result<Option<Stored<T>>, StoreError> {
        self.documents
            .find(T::COLLECTION, id)
            .await?
            .map_or(Ok(None), |document| decode::<T>(&document))
    }

    /// Returns all entities whose indexed fields have these values, by id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, filter: &[(&str, &str)]) -> Result<Vec<Stored<T>>, StoreError> {
        const PAGE: usize = 500;
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .documents
                .list(T::COLLECTION, filter, after.as_deref(), PAGE)
                .await?;
            for document in &page {
                found.extend(decode::<T>(document)?);
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.id.clone()),
                _ => return Ok(found),
            }
        }
    }

    /// Decides on an entity and writes the decision in one compare-and-swap; then publishes its records.
    ///
    /// `cause` makes the application happen once for each message. `decide` may run several times; it gets the entity
    /// and the version that a change will have.
    ///
    /// # Errors
    /// When the decision refuses, the store fails, or others win each time.
    pub async fn apply<E>(
        &self,
        id: &str,
        cause: Option<MessageId>,
        mut decide: impl FnMut(Option<&T>, u64) -> Result<Change<T>, E> + Send,
    ) -> Result<Applied<T>, ApplyError<E>> {
        let cause = cause.map(|cause| cause.to_string());
        for attempt in 0..TRIES {
            let current = self.documents.find(T::COLLECTION, id).await?;
            let stored = current.as_ref().map(decode::<T>).transpose()?.flatten();
            if let (Some(document), Some(cause)) = (&current, &cause)
                && document.seen.contains(cause)
            {
                self.drive(document.clone()).await;
                return Ok(Applied::Duplicate(stored));
            }
            let version = current.as_ref().map_or(0, |document| document.version) + 1;
            let (entity, records) =
                match decide(stored.as_ref().map(|stored| &stored.entity), version).map_err(ApplyError::Refused)? {
                    Change::Keep => return Ok(Applied::Kept(stored)),
                    Change::Put { entity, records } => (Some(entity), records),
                    Change::Delete { records } if stored.is_some() => (None, records),
                    Change::Delete { .. } => return Ok(Applied::Kept(None)),
                };
            let document = next::<T>(
                id,
                current.as_ref(),
                entity.as_ref(),
                records,
                cause.as_deref(),
                version,
            )?;
            let written = match &current {
                None => self.documents.insert(T::COLLECTION, &document).await?,
                Some(current) => {
                    self.documents
                        .replace(T::COLLECTION, &document, current.version)
                        .await?
                }
            };
            if written {
                self.drive(document).await;
                return Ok(entity.map_or(Applied::Deleted, |entity| {
                    Applied::Changed(Stored {
                        id: id.to_owned(),
                        version,
                        entity,
                    })
                }));
            }
            pause(attempt).await;
        }
        Err(StoreError::Contention {
            collection: T::COLLECTION,
            id: id.to_owned(),
        }
        .into())
    }

    /// Publishes what a document still has to publish and trims its outbox. Failures are left to the sweep.
    async fn drive(&self, document: Document) {
        if document.outbox.is_empty() {
            if document.body.is_none()
                && let Err(error) = self
                    .documents
                    .delete(T::COLLECTION, &document.id, document.version)
                    .await
            {
                tracing::debug!(collection = T::COLLECTION, id = document.id, %error, "an empty document stays");
            }
            return;
        }
        if let Err(error) = self.bus.send(&document.outbox).await {
            tracing::warn!(collection = T::COLLECTION, id = document.id, %error, "outbox waits");
            // It may have reached Kafka nevertheless, behind what another process sent meanwhile.
            self.have_the_last_word(&document).await;
            return;
        }
        let sent = document.outbox.clone();
        let mut current = document.clone();
        for attempt in 0..TRIES {
            let expected = current.version;
            current.outbox.retain(|record| !sent.contains(record));
            current.version += 1;
            let trimmed = if current.body.is_none() && current.outbox.is_empty() {
                self.documents.delete(T::COLLECTION, &current.id, expected).await
            } else {
                self.documents.replace(T::COLLECTION, &current, expected).await
            };
            match trimmed {
                Ok(true) if attempt == 0 => return,
                // Somebody else wrote meanwhile, and may have published before us.
                Ok(true) => return self.have_the_last_word(&document).await,
                Ok(false) => pause(attempt).await,
                Err(error) => {
                    tracing::warn!(collection = T::COLLECTION, id = current.id, %error, "outbox was published but not trimmed");
                    return;
                }
            }
            match self.documents.find(T::COLLECTION, &current.id).await {
                Ok(Some(newer)) if newer.outbox.iter().any(|record| sent.contains(record)) => current = newer,
                Ok(_) => return self.have_the_last_word(&document).await,
                Err(_) => return,
            }
        }
    }

    /// Another process may have published newer records of a document before ours reached Kafka. A compacted topic keeps what came last, so that
    /// what is newest is said once more; readers keep the highest version and learn nothing new.
    pub(super) async fn have_the_last_word(&self, ours: &Document) {
        let mut said = ours.newest.clone();
        for _ in 0..TRIES {
            let newest = match self.documents.find(T::COLLECTION, &ours.id).await {
                Ok(Some(found)) if found.outbox.iter().any(|record| ours.outbox.contains(record)) => return,
                Ok(Some(found)) => found.newest,
                Ok(None) => ours.newest.iter().map(Record::end_of_key).collect(),
                Err(_) => return,
            };
            if newest == said {
                return;
            }
            if let Err(error) = self.bus.send(&newest).await {
                tracing::warn!(collection = T::COLLECTION, id = ours.id, %error, "an older event may be the last one");
                return;
            }
            said = newest;
        }
    }

    /// Publishes outboxes that a crash or an outage left. Returns how many documents had one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let pending = self.documents.pending(T::COLLECTION, 200).await?;
        let count = pending.len();
        for document in pending {
            self.drive(document).await;
        }
        Ok(count)
    }
}

pub(super) fn decode<T: Entity>(document: &Document) -> Result<Option<Stored<T>>, StoreError> {
    let Some(body) = &document.body else { return Ok(None) };
    let entity = serde_json::from_str(body).map_err(|error| StoreError::Corrupt {
        collection: T::COLLECTION.to_owned(),
        id: document.id.clone(),
        message: error.to_string(),
    })?;
    Ok(Some(Stored {
        id: document.id.clone(),
        version: document.version,
        entity,
    }))
}

fn next<T: Entity>(
    id: &str,
    current: Option<&Document>,
    entity: Option<&T>,
    records: Vec<Record>,
    cause: Option<&str>,
    version: u64,
) -> Result<Document, StoreError> {
    let body = entity
        .map(serde_json::to_string)
        .transpose()
        .map_err(|error| StoreError::Corrupt {
            collection: T::COLLECTION.to_owned(),
            id: id.to_owned(),
            message: error.to_string(),
        })?;
    let mut seen = current.map(|document| document.seen.clone()).unwrap_or_default();
    seen.extend(cause.map(ToOwned::to_owned));
    let surplus = seen.len().saturating_sub(SEEN);
    seen.drain(..surplus);
    let mut newest = current.map(|document| document.newest.clone()).unwrap_or_default();
    for record in records.iter().filter(|record| record.is_compacted()) {
        newest.retain(|older| (&older.topic, &older.key) != (&record.topic, &record.key));
        newest.push(record.clone());
    }
    let mut outbox = current.map(|document| document.outbox.clone()).unwrap_or_default();
    outbox.extend(records);
    let index = entity
        .map(T::index)
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    Ok(Document {
        id: id.to_owned(),
        version,
        body,
        seen,
        outbox,
        newest,
        index,
    })
}

/// Gives way to whoever won; longer with each lost race, and not in step with others.
async fn pause(attempt: usize) {
    let jitter = u64::from(uuid::Uuid::now_v7().as_bytes()[15]) % 8;
    tokio::time::sleep(std::time::Duration::from_millis((attempt as u64).min(10) * 2 + jitter)).await;
}

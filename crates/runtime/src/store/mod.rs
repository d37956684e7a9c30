//! The one primitive of state: compare-and-swap of a whole document with its outbox.
//!
//! A document holds the entity, its version, the ids of recently handled messages and records that still have to be
//! published. One `replace` writes all of it, so that a crash at any point is mended by handling the message again (it is
//! in `seen`: only the outbox is driven on) or by the sweep. Works on any server that can replace one document where
//! `_id` and `version` are equal to given values.

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use common::MessageId;
use serde::{Serialize, de::DeserializeOwned};

use crate::bus::{Bus, Record};

/// Ids of handled messages that a document remembers.
const SEEN: usize = 256;
/// Tries of a compare-and-swap that others win.
const TRIES: usize = 50;

/// What a service keeps: one collection of it.
pub trait Entity: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Name of the collection; begins with the service's name.
    const COLLECTION: &'static str;
    /// Fields it is looked up by (equality).
    const INDEXES: &'static [&'static str] = &[];
    /// Values of these fields.
    fn index(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It does not answer or answered with an error; whether it wrote is unknown.
    #[error("mongodb: could not {operation}: {message}")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// The driver's words.
        message: String,
    },
    /// Others changed the document each time we tried.
    #[error("lost the race for {id} in {collection}")]
    Contention {
        /// The collection.
        collection: &'static str,
        /// The document.
        id: String,
    },
    /// A document is not what this program writes.
    #[error("{id} in {collection} can not be read: {message}")]
    Corrupt {
        /// The collection.
        collection: String,
        /// The document.
        id: String,
        /// Why.
        message: String,
    },
}

/// A document as it lies in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Identity.
    pub id: String,
    /// Grows with each write.
    pub version: u64,
    /// The entity as JSON; none: deleted, but the outbox is not empty yet.
    pub body: Option<String>,
    /// Ids of handled messages.
    pub seen: Vec<String>,
    /// Records to publish.
    pub outbox: Vec<Record>,
    /// Values to look up by.
    pub index: BTreeMap<String, String>,
}

/// Where documents lie. Two implementations: MongoDB and memory; one contract test runs on both.
#[async_trait]
pub trait Documents: Send + Sync + 'static {
    /// Returns a document.
    async fn find(&self, collection: &'static str, id: &str) -> Result<Option<Document>, StoreError>;
    /// Inserts a document; `false` when the id exists.
    async fn insert(&self, collection: &'static str, document: &Document) -> Result<bool, StoreError>;
    /// Replaces a document of that version; `false` when there is none.
    async fn replace(&self, collection: &'static str, document: &Document, expected: u64) -> Result<bool, StoreError>;
    /// Deletes a document of that version; `false` when there is none.
    async fn delete(&self, collection: &'static str, id: &str, expected: u64) -> Result<bool, StoreError>;
    /// Returns documents whose indexed fields have these values, by id, after an id.
    async fn list(
        &self,
        collection: &'static str,
        filter: &[(&str, &str)],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError>;
    /// Returns documents whose outbox is not empty.
    async fn pending(&self, collection: &'static str, limit: usize) -> Result<Vec<Document>, StoreError>;
    /// Makes indexes for the fields.
    async fn ensure(&self, collection: &'static str, fields: &'static [&'static str]) -> Result<(), StoreError>;
}

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
    documents: Arc<dyn Documents>,
    bus: Bus,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Entities<T> {
    fn clone(&self) -> Self {
        Self {
            documents: self.documents.clone(),
            bus: self.bus.clone(),
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
            return;
        }
        let sent = document.outbox.clone();
        let mut current = document;
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
                Ok(true) => return,
                Ok(false) => pause(attempt).await,
                Err(error) => {
                    tracing::warn!(collection = T::COLLECTION, id = current.id, %error, "outbox was published but not trimmed");
                    return;
                }
            }
            match self.documents.find(T::COLLECTION, &current.id).await {
                Ok(Some(newer)) if newer.outbox.iter().any(|record| sent.contains(record)) => current = newer,
                _ => return,
            }
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

fn decode<T: Entity>(document: &Document) -> Result<Option<Stored<T>>, StoreError> {
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
        index,
    })
}

/// Gives way to whoever won; longer with each lost race, and not in step with others.
async fn pause(attempt: usize) {
    let jitter = u64::from(uuid::Uuid::now_v7().as_bytes()[15]) % 8;
    tokio::time::sleep(std::time::Duration::from_millis((attempt as u64).min(10) * 2 + jitter)).await;
}

/// Documents in memory, for tests of handlers.
#[derive(Debug, Default)]
pub struct MemoryDocuments {
    collections: Mutex<HashMap<&'static str, BTreeMap<String, Document>>>,
}

impl MemoryDocuments {
    fn with<R>(&self, collection: &'static str, work: impl FnOnce(&mut BTreeMap<String, Document>) -> R) -> R {
        let mut collections = self.collections.lock().unwrap_or_else(PoisonError::into_inner);
        work(collections.entry(collection).or_default())
    }
}

#[async_trait]
impl Documents for MemoryDocuments {
    async fn find(&self, collection: &'static str, id: &str) -> Result<Option<Document>, StoreError> {
        Ok(self.with(collection, |documents| documents.get(id).cloned()))
    }

    async fn insert(&self, collection: &'static str, document: &Document) -> Result<bool, StoreError> {
        Ok(self.with(collection, |documents| {
            let fresh = !documents.contains_key(&document.id);
            if fresh {
                documents.insert(document.id.clone(), document.clone());
            }
            fresh
        }))
    }

    async fn replace(&self, collection: &'static str, document: &Document, expected: u64) -> Result<bool, StoreError> {
        Ok(
            self.with(collection, |documents| match documents.get_mut(&document.id) {
                Some(current) if current.version == expected => {
                    *current = document.clone();
                    true
                }
                _ => false,
            }),
        )
    }

    async fn delete(&self, collection: &'static str, id: &str, expected: u64) -> Result<bool, StoreError> {
        Ok(self.with(collection, |documents| {
            let matches = documents.get(id).is_some_and(|current| current.version == expected);
            if matches {
                documents.remove(id);
            }
            matches
        }))
    }

    async fn list(
        &self,
        collection: &'static str,
        filter: &[(&str, &str)],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        Ok(self.with(collection, |documents| {
            documents
                .values()
                .filter(|document| after.is_none_or(|after| document.id.as_str() > after))
                .filter(|document| {
                    filter
                        .iter()
                        .all(|(key, value)| document.index.get(*key).is_some_and(|found| found == value))
                })
                .take(limit)
                .cloned()
                .collect()
        }))
    }

    async fn pending(&self, collection: &'static str, limit: usize) -> Result<Vec<Document>, StoreError> {
        Ok(self.with(collection, |documents| {
            documents
                .values()
                .filter(|document| !document.outbox.is_empty())
                .take(limit)
                .cloned()
                .collect()
        }))
    }

    async fn ensure(&self, _: &'static str, _: &'static [&'static str]) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

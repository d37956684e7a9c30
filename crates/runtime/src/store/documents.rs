//! What a server has to be able to do, and no more.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use crate::bus::Record;

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
    /// The newest record of each key on compacted topics, published or not: what has to be the last word there.
    pub newest: Vec<Record>,
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

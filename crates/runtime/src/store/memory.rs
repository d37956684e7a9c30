//! Documents in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Document, Documents, StoreError};

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

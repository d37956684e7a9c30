//! The one primitive of state: compare-and-swap of a whole document with its outbox.
//!
//! A document holds the entity, its version, the ids of recently handled messages and records that still have to be
//! published. One `replace` writes all of it, so that a crash at any point is mended by handling the message again (it is
//! in `seen`: only the outbox is driven on) or by the sweep. Works on any server that can replace one document where
//! `_id` and `version` are equal to given values.

mod anew;
mod documents;
mod entities;
mod memory;

use serde::{Serialize, de::DeserializeOwned};

pub use anew::SettleError;
pub use documents::{Document, Documents};
pub use entities::{Applied, ApplyError, Change, Entities, Stored};
pub use memory::MemoryDocuments;

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
    /// What it is beside topics that are new, where it holds positions in those of before; none: nothing changes.
    fn beside_new_topics(&self) -> Option<Self> {
        None
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

#[cfg(test)]
mod tests;

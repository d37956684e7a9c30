//! Blocks in MongoDB: collection `log_lines`.

use async_trait::async_trait;
use common::Timestamp;
use common::messages::log::LogLine;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::{Collection, Database, IndexModel};
use runtime::StoreError;
use runtime::mongo::unavailable;
use tokio::sync::OnceCell;

use super::block::Block;
use super::{BlockPage, Blocks};

const COLLECTION: &str = "log_lines";
const DUPLICATE: i32 = 11000;

/// Blocks in MongoDB.
#[derive(Debug)]
pub struct MongoBlocks {
    collection: Collection<Document>,
    indexed: OnceCell<()>,
}

impl MongoBlocks {
    /// Works on a database.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self {
            collection: database.collection(COLLECTION),
            indexed: OnceCell::new(),
        }
    }

    async fn indexed(&self) -> Result<(), StoreError> {
        let make = || async {
            for keys in [doc! { "source": 1, "to": -1 }, doc! { "to": 1 }] {
                self.collection
                    .create_index(IndexModel::builder().keys(keys).build())
                    .await
                    .map_err(unavailable("create an index of log lines"))?;
            }
            Ok(())
        };
        self.indexed.get_or_try_init(make).await.copied()
    }
}

fn encode(block: &Block) -> Result<Document, StoreError> {
    // JSON text: what applications print (NUL, any character) never meets the database's rules for text.
    let lines = serde_json::to_string(&block.lines).map_err(|error| StoreError::Corrupt {
        collection: COLLECTION.to_owned(),
        id: block.id.clone(),
        message: error.to_string(),
    })?;
    Ok(doc! {
        "_id": &block.id, "source": &block.source, "container": &block.container, "from": block.from, "to": block.to, "lines": lines,
    })
}

fn decode(document: &Document) -> Result<Block, StoreError> {
    let id = document.get_str("_id").unwrap_or_default();
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt {
        collection: COLLECTION.to_owned(),
        id: id.to_owned(),
        message: error.to_string(),
    };
    let text = |name: &str| {
        document
            .get_str(name)
            .map(ToOwned::to_owned)
            .map_err(|error| corrupt(&error))
    };
    let lines: Vec<LogLine> = serde_json::from_str(&text("lines")?).map_err(|error| corrupt(&error))?;
    Ok(Block {
        id: id.to_owned(),
        source: text("source")?,
        container: text("container")?,
        from: document.get_i64("from").map_err(|error| corrupt(&error))?,
        to: document.get_i64("to").map_err(|error| corrupt(&error))?,
        lines,
    })
}

/// Whether nothing but repeats kept documents from being inserted.
fn only_repeats(error: &Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::InsertMany(error) => {
            error.write_concern_error.is_none()
                && error
                    .write_errors
                    .as_ref()
                    .is_some_and(|errors| !errors.is_empty() && errors.iter().all(|error| error.code == DUPLICATE))
        }
        _ => false,
    }
}

#[async_trait]
impl Blocks for MongoBlocks {
    async fn add(&self, blocks: &[Block]) -> Result<(), StoreError> {
        self.indexed().await?;
        let documents = blocks.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        match self.collection.insert_many(documents).ordered(false).await {
            Ok(_) => Ok(()),
            Err(error) if only_repeats(&error) => Ok(()),
            Err(error) => Err(unavailable("add log lines")(error)),
        }
    }

    async fn newest(&self, page: &BlockPage<'_>) -> Result<Vec<Block>, StoreError> {
        let found = self
            .collection
            .find(doc! { "source": page.source, "from": { "$lte": page.begin_at_most }, "to": { "$lte": page.end_at_most } })
            .sort(doc! { "to": -1, "_id": -1 })
            .skip(page.skip as u64)
            .limit(i64::try_from(page.limit).unwrap_or(i64::MAX))
            .await
            .map_err(unavailable("read log lines"))?;
        let found: Vec<Document> = found.try_collect().await.map_err(unavailable("read log lines"))?;
        found.iter().map(decode).collect()
    }

    async fn remove_before(&self, moment: Timestamp) -> Result<u64, StoreError> {
        let removed = self
            .collection
            .delete_many(doc! { "to": { "$lt": moment.millis() } })
            .await
            .map_err(unavailable("remove log lines"))?;
        Ok(removed.deleted_count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::block::blocks;
    use common::VersionId;
    use common::messages::log::{AppLog, Stream};

    #[test]
    fn a_block_comes_back_with_every_character() {
        let message = AppLog::Build {
            version: VersionId::new(),
            lines: vec![LogLine {
                number: 1,
                time: Timestamp::from_millis(5),
                stream: Stream::Stderr,
                text: "\u{1b}[31mNUL \0 $x a.b 🦀".to_owned(),
            }],
        };
        let block = blocks(&message).remove(0);
        let document = encode(&block).unwrap();
        assert!(!document.get_str("lines").unwrap().contains('\0'));
        assert_eq!(decode(&document).unwrap(), block);
    }
}

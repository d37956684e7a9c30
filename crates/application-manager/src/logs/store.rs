//! Blocks in MongoDB: collection `log_lines`.
//!
//! Every question is an equality with one indexed value, which is what MongoDB and FerretDB both answer without a scan.

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

use super::Blocks;
use super::block::{BUCKET, Block};

const COLLECTION: &str = "application_manager_log_lines";
const DUPLICATE: i32 = 11000;
/// Buckets before the oldest kept one that retention looks through each time: two days.
const LOOK_BACK: i64 = 288;

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
            for keys in [doc! { "place": 1 }, doc! { "bucket": 1 }] {
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

fn place(source: &str, bucket: i64) -> String {
    format!("{source}/{bucket}")
}

fn encode(block: &Block) -> Result<Document, StoreError> {
    // JSON text: what applications print (NUL, any character) never meets the database's rules for text.
    let lines = serde_json::to_string(&block.lines).map_err(|error| StoreError::Corrupt {
        collection: COLLECTION.to_owned(),
        id: block.id.clone(),
        message: error.to_string(),
    })?;
    Ok(doc! {
        "_id": &block.id, "source": &block.source, "container": &block.container, "from": block.from, "to": block.to,
        "place": place(&block.source, block.bucket()), "bucket": block.bucket(), "lines": lines,
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

    async fn bucket(&self, source: &str, bucket: i64, each: &mut (dyn FnMut(Block) + Send)) -> Result<(), StoreError> {
        let operation = "read log lines";
        let filter = doc! { "place": place(source, bucket) };
        let mut found = self
            .collection
            .find(filter)
            .batch_size(200)
            .await
            .map_err(unavailable(operation))?;
        while let Some(document) = found.try_next().await.map_err(unavailable(operation))? {
            each(decode(&document)?);
        }
        Ok(())
    }

    async fn remove_before(&self, moment: Timestamp) -> Result<u64, StoreError> {
        let oldest = moment.millis().div_euclid(BUCKET);
        let mut removed = 0;
        for bucket in oldest - LOOK_BACK..oldest {
            let gone = self.collection.delete_many(doc! { "bucket": bucket }).await;
            removed += gone.map_err(unavailable("remove log lines"))?.deleted_count;
        }
        Ok(removed)
    }

    async fn remove_all_before(&self, moment: Timestamp) -> Result<u64, StoreError> {
        let oldest = moment.millis().div_euclid(BUCKET);
        let gone = self.collection.delete_many(doc! { "bucket": { "$lt": oldest } }).await;
        Ok(gone.map_err(unavailable("remove log lines"))?.deleted_count)
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

    #[cfg(feature = "store-tests")]
    #[tokio::test]
    async fn on_a_server_log_blocks_keep_their_contract() {
        let client = mongodb::Client::with_uri_str(std::env::var("IOT_TEST_MONGODB").unwrap())
            .await
            .unwrap();
        let database = client.database(&format!("iot_test_{}", uuid::Uuid::now_v7().simple()));
        let store = MongoBlocks::new(&database);
        let version = VersionId::new();
        let block = |number: u64, time: i64| {
            let line = LogLine {
                number,
                time: Timestamp::from_millis(time),
                stream: Stream::Stdout,
                text: "nul \0".to_owned(),
            };
            blocks(&AppLog::Build {
                version,
                lines: vec![line],
            })
            .remove(0)
        };
        store.add(&[block(1, 10), block(2, 20)]).await.unwrap();
        // Some are there already, some are new, in one command: what a repeated batch is.
        store.add(&[block(2, 20), block(1, 10), block(3, 30)]).await.unwrap();
        store.add(&[block(1, 10)]).await.unwrap();
        let source = version.to_string();
        let numbers = async |bucket: i64| {
            let mut numbers = Vec::new();
            store
                .bucket(&source, bucket, &mut |block| numbers.push(block.lines[0].number))
                .await
                .unwrap();
            numbers.sort_unstable();
            numbers
        };
        assert_eq!(numbers(0).await, [1, 2, 3]);
        store.add(&[block(4, BUCKET)]).await.unwrap();
        assert_eq!(numbers(1).await, [4]);
        assert_eq!(store.remove_before(Timestamp::from_millis(BUCKET)).await.unwrap(), 3);
        assert_eq!(
            store
                .remove_all_before(Timestamp::from_millis(2 * BUCKET))
                .await
                .unwrap(),
            1
        );
        assert_eq!(numbers(1).await, [0; 0]);
        database.drop().await.unwrap();
    }
}

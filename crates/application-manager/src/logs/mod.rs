//! What applications and builds print, kept for as long as the installation keeps history, and searched.
//!
//! A message of `app.logs` becomes one block. Blocks are only ever added: a message that comes twice makes the same block,
//! and lines that come again in other blocks (an agent that starts anew cuts them differently) are told apart by
//! container, number and time when they are read.

mod block;
mod search;
mod store;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::messages::log::{AppLog, LogLine, Stream};
use common::{InstanceId, Timestamp, VersionId};
use runtime::kafka::BatchLimits;
use runtime::{BatchHandler, Context, HandleError, Placed, StoreError};
use serde::{Deserialize, Serialize};

pub use search::{Cursor, CursorError};
pub use store::MongoBlocks;

use block::Block;
use search::Search;

/// Most lines of one answer.
const MOST_LINES: usize = 1000;
/// Blocks that are read at a time.
const PAGE: usize = 100;
/// Blocks that one search looks through before it answers with what it has and where to go on.
const PATIENCE: usize = 3000;

/// Whose lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSource {
    /// An instance's containers.
    Instance(InstanceId),
    /// A version's build.
    Version(VersionId),
}

impl LogSource {
    fn key(self) -> String {
        match self {
            Self::Instance(id) => id.to_string(),
            Self::Version(id) => id.to_string(),
        }
    }
}

/// One line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogEntry {
    /// Container, shortened; `build` for a build.
    pub container: String,
    /// Counts within the container.
    pub number: u64,
    /// When it was printed.
    pub time: Timestamp,
    /// Where it was printed.
    pub stream: Stream,
    /// The text.
    pub text: String,
}

impl LogEntry {
    fn new(container: &str, line: &LogLine) -> Self {
        Self {
            container: container.to_owned(),
            number: line.number,
            time: line.time,
            stream: line.stream,
            text: line.text.clone(),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only lines with this text, upper or lower case.
    pub text: Option<String>,
    /// Only lines before this one; none: the newest.
    pub before: Option<Cursor>,
    /// How many, at most 1000.
    pub limit: usize,
}

/// The newest lines before a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogPage {
    /// Oldest first.
    pub items: Vec<LogEntry>,
    /// What to ask for next (`before`) to see what is older; none: nothing is.
    pub next: Option<String>,
}

/// Where blocks lie.
#[async_trait]
pub(crate) trait Blocks: Send + Sync + 'static {
    /// Adds blocks; those that are there already stay.
    async fn add(&self, blocks: &[Block]) -> Result<(), StoreError>;
    /// Returns blocks of a source that begin at or before a moment and end at or before another one, by their end, newest first.
    async fn newest(&self, page: &BlockPage<'_>) -> Result<Vec<Block>, StoreError>;
    /// Removes blocks that end before a moment; returns how many.
    async fn remove_before(&self, moment: Timestamp) -> Result<u64, StoreError>;
}

/// Which blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockPage<'a> {
    source: &'a str,
    begin_at_most: i64,
    end_at_most: i64,
    skip: usize,
    limit: usize,
}

/// The lines of an installation.
#[derive(Clone)]
pub struct Logs {
    blocks: Arc<dyn Blocks>,
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

impl Logs {
    /// Works on the database of the installation.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self {
            blocks: Arc::new(MongoBlocks::new(context.mongo.database())),
        }
    }

    /// Consumes `app.logs`, and removes what is older than the installation keeps history.
    pub fn run(&self, context: &Context) {
        let limits = BatchLimits {
            messages: 200,
            linger: Duration::from_millis(200),
        };
        context.consume_batches::<AppLog, Self>(Arc::new(self.clone()), limits);
        let hours = i64::try_from(context.settings.limits.history_hours).unwrap_or(i64::MAX);
        let blocks = self.blocks.clone();
        context.spawn_until_shutdown("retention of logs", async move {
            loop {
                let oldest = Timestamp::now().plus_millis(hours.saturating_mul(-3_600_000));
                match blocks.remove_before(oldest).await {
                    Ok(0) => {}
                    Ok(removed) => tracing::info!(removed, "removed old log lines"),
                    Err(error) => tracing::debug!(%error, "retention of logs waits"),
                }
                tokio::time::sleep(Duration::from_secs(600)).await;
            }
        });
    }

    /// Returns the newest lines that fit, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn query(&self, source: LogSource, query: &LogQuery) -> Result<LogPage, StoreError> {
        let key = source.key();
        let mut search = Search::new(query, query.limit.clamp(1, MOST_LINES));
        let mut skip = 0;
        loop {
            let page = BlockPage {
                source: &key,
                begin_at_most: search.begin_at_most(),
                end_at_most: search.end_at_most(),
                skip,
                limit: PAGE,
            };
            let blocks = self.blocks.newest(&page).await?;
            let last = blocks.len() < PAGE;
            skip += blocks.len();
            if let Some(done) = search.add(&blocks, last, skip >= PATIENCE) {
                return Ok(done);
            }
        }
    }
}

/// `app.logs` into blocks.
#[async_trait]
impl BatchHandler<AppLog> for Logs {
    async fn handle_batch(&self, batch: &[Placed<AppLog>]) -> Result<(), HandleError> {
        let blocks: Vec<Block> = batch
            .iter()
            .flat_map(|placed| block::blocks(&placed.envelope.message))
            .collect();
        if !blocks.is_empty() {
            self.blocks.add(&blocks).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

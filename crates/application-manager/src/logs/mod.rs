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
use runtime::{BatchHandler, Context, Duty, HandleError, Placed, StoreError};
use serde::{Deserialize, Serialize};

pub use search::{Cursor, CursorError};
pub use store::MongoBlocks;

use block::{BUCKET, Block};
use search::Search;

/// Most lines of one answer.
const MOST_LINES: usize = 1000;
/// Buckets that one question looks through before it answers with what it has and where to go on: a day and a half.
const PATIENCE: i64 = 216;

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
    /// Hands over every block of a source whose last line is in a bucket, in any order.
    async fn bucket(&self, source: &str, bucket: i64, each: &mut (dyn FnMut(Block) + Send)) -> Result<(), StoreError>;
    /// Removes blocks that end before a moment, in whole buckets of the days before it; returns how many.
    async fn remove_before(&self, moment: Timestamp) -> Result<u64, StoreError>;
    /// As the former, however old they are: looks at everything.
    async fn remove_all_before(&self, moment: Timestamp) -> Result<u64, StoreError>;
}

/// The lines of an installation.
#[derive(Clone)]
pub struct Logs {
    blocks: Arc<dyn Blocks>,
    /// Milliseconds that lines are kept.
    kept: i64,
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
            kept: i64::try_from(context.settings.limits.history_hours)
                .unwrap_or(i64::MAX)
                .saturating_mul(3_600_000),
        }
    }

    /// Keeps lines in memory.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        tests::logs().1
    }

    /// Consumes `app.logs`, and removes what is older than the installation keeps history.
    pub fn run(&self, context: &Context, duty: Duty) {
        let limits = BatchLimits {
            messages: 200,
            linger: Duration::from_millis(200),
        };
        context.consume_batches::<AppLog, Self>(Arc::new(self.clone()), limits);
        let (blocks, kept) = (self.blocks.clone(), self.kept);
        context.spawn_until_shutdown("retention of logs", async move {
            let mut all = true;
            loop {
                duty.taken().await;
                let oldest = Timestamp::now().plus_millis(-kept);
                // At first whatever an outage of days has left, then only what has become old.
                let removed = if all {
                    blocks.remove_all_before(oldest).await
                } else {
                    blocks.remove_before(oldest).await
                };
                match removed {
                    Ok(0) => all = false,
                    Ok(removed) => {
                        all = false;
                        tracing::info!(removed, "removed old log lines");
                    }
                    Err(error) => tracing::debug!(%error, "retention of logs waits"),
                }
                tokio::time::sleep(Duration::from_secs(if all { 10 } else { 600 })).await;
            }
        });
    }

    /// Returns the newest lines that fit, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn query(&self, source: LogSource, query: &LogQuery) -> Result<LogPage, StoreError> {
        let now = Timestamp::now();
        self.query_between(now, now, source, query).await
    }

    /// As [`Logs::query`], of an instance or build that ended then: begins there and not with now.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn query_ended(
        &self,
        source: LogSource,
        ended: Timestamp,
        query: &LogQuery,
    ) -> Result<LogPage, StoreError> {
        self.query_between(Timestamp::now(), ended, source, query).await
    }

    async fn query_between(
        &self,
        now: Timestamp,
        end: Timestamp,
        source: LogSource,
        query: &LogQuery,
    ) -> Result<LogPage, StoreError> {
        let key = source.key();
        let mut search = Search::new(query, query.limit.clamp(1, MOST_LINES));
        // Other hosts' clocks may be ahead, and the last lines come after the end.
        let newest = end.millis().saturating_add(BUCKET).div_euclid(BUCKET);
        let oldest = now.millis().saturating_sub(self.kept).div_euclid(BUCKET);
        let first = search.first_bucket().unwrap_or(newest).min(newest);
        for bucket in (oldest..=first).rev() {
            self.blocks
                .bucket(&key, bucket, &mut |block| search.add(&block))
                .await?;
            if search.is_known(bucket) {
                break;
            }
            if first - bucket >= PATIENCE && bucket > oldest {
                return Ok(search.answer_down_to(bucket));
            }
        }
        Ok(search.answer())
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

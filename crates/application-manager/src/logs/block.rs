//! A block: lines that were printed after each other by one container. Pure.

use common::messages::log::{AppLog, LogLine};

/// Longest time between the first and the last line of a block, in milliseconds: bounds what a search must look at.
pub(super) const LONGEST: i64 = 60_000;

/// Length of a bucket, in milliseconds: blocks are looked up by source and the bucket of their last line.
pub(super) const BUCKET: i64 = 600_000;

/// Lines as they are kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    /// Follows from what is in it, so that the same lines are the same block.
    pub(super) id: String,
    /// Instance or version.
    pub(super) source: String,
    /// Container, or `build`.
    pub(super) container: String,
    /// Time of the earliest line, in milliseconds.
    pub(super) from: i64,
    /// Time of the latest line, in milliseconds.
    pub(super) to: i64,
    /// The lines.
    pub(super) lines: Vec<LogLine>,
}

impl Block {
    /// The bucket of the last line.
    pub(super) fn bucket(&self) -> i64 {
        self.to.div_euclid(BUCKET)
    }
}

/// Cuts a message into blocks; nearly always it is one.
pub(super) fn blocks(message: &AppLog) -> Vec<Block> {
    let (source, container, lines) = match message {
        AppLog::Instance {
            instance,
            container,
            lines,
        } => (instance.to_string(), container.as_str(), lines),
        AppLog::Build { version, lines } => (version.to_string(), "build", lines),
    };
    let mut blocks: Vec<Block> = Vec::new();
    for line in lines {
        let time = line.time.millis();
        match blocks.last_mut() {
            Some(block) if block.to.max(time) - block.from.min(time) <= LONGEST => {
                block.from = block.from.min(time);
                block.to = block.to.max(time);
                block.lines.push(line.clone());
            }
            _ => blocks.push(Block {
                id: String::new(),
                source: source.clone(),
                container: container.to_owned(),
                from: time,
                to: time,
                lines: vec![line.clone()],
            }),
        }
    }
    for block in &mut blocks {
        let (first, last) = (block.lines.first(), block.lines.last());
        let numbers = (first.map_or(0, |line| line.number), last.map_or(0, |line| line.number));
        // The time tells a second build of a version from the first: both count from the start.
        block.id = format!("{source}/{container}/{:012}-{}/{}", numbers.0, numbers.1, block.from);
    }
    blocks
}

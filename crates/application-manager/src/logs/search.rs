//! Which lines of which blocks answer a query. Pure: blocks come in by their end, newest first, until enough is known.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::block::{Block, LONGEST};
use super::{LogEntry, LogPage, LogQuery};

/// A place between lines: everything before it is older.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    time: i64,
    container: String,
    number: u64,
}

/// A text is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`before` is not what an answer gave as `next`")]
pub struct CursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.time, self.number, self.container)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or(CursorError);
        Ok(Self {
            time: next()?.parse().map_err(|_| CursorError)?,
            number: next()?.parse().map_err(|_| CursorError)?,
            container: next()?.to_owned(),
        })
    }
}

impl Cursor {
    fn of(entry: &LogEntry) -> Self {
        Self {
            time: entry.time.millis(),
            container: entry.container.clone(),
            number: entry.number,
        }
    }

    /// The place before everything at a moment.
    fn at(time: i64) -> Self {
        Self {
            time,
            container: String::new(),
            number: 0,
        }
    }
}

/// A search that goes on.
#[derive(Debug)]
pub(super) struct Search {
    text: Option<String>,
    before: Option<Cursor>,
    limit: usize,
    /// By place; a line that comes in two blocks is one.
    found: BTreeMap<Cursor, LogEntry>,
}

impl Search {
    pub(super) fn new(query: &LogQuery, limit: usize) -> Self {
        Self {
            text: query
                .text
                .as_ref()
                .filter(|text| !text.is_empty())
                .map(|text| text.to_lowercase()),
            before: query.before.clone(),
            limit,
            found: BTreeMap::new(),
        }
    }

    /// Blocks that begin later hold nothing that is asked for.
    pub(super) fn begin_at_most(&self) -> i64 {
        self.before.as_ref().map_or(i64::MAX, |before| before.time)
    }

    /// Nor do blocks that end later, because no block is longer than that.
    pub(super) fn end_at_most(&self) -> i64 {
        self.begin_at_most().saturating_add(LONGEST)
    }

    /// Looks at more blocks: `last` when there are no others, `impatient` when it is to end anyhow. Returns the answer when it is known.
    pub(super) fn add(&mut self, blocks: &[Block], last: bool, impatient: bool) -> Option<LogPage> {
        for block in blocks {
            for line in &block.lines {
                let entry = LogEntry::new(&block.container, line);
                let place = Cursor::of(&entry);
                if self.before.as_ref().is_none_or(|before| place < *before) && self.fits(&entry.text) {
                    self.found.insert(place, entry);
                }
            }
            // One more than asked for tells whether anything is older.
            while self.found.len() > self.limit + 1 {
                self.found.pop_first();
            }
        }
        if last {
            return Some(self.answer(None));
        }
        // Lines after this moment can not come any more.
        let seen_down_to = blocks.last().map_or(i64::MAX, |block| block.to);
        let enough = self.found.len() > self.limit
            && self
                .found
                .first_key_value()
                .is_some_and(|(oldest, _)| oldest.time > seen_down_to);
        if enough {
            return Some(self.answer(None));
        }
        impatient.then(|| self.answer(Some(seen_down_to.saturating_add(1))))
    }

    fn fits(&self, text: &str) -> bool {
        self.text
            .as_ref()
            .is_none_or(|wanted| text.to_lowercase().contains(wanted))
    }

    /// Makes the answer; when the search ended early, only of what is known to be complete: lines at or after `complete_from`.
    fn answer(&mut self, complete_from: Option<i64>) -> LogPage {
        let mut found = std::mem::take(&mut self.found);
        let mut next = None;
        if let Some(moment) = complete_from {
            found = found.split_off(&Cursor::at(moment));
            next = Some(Cursor::at(moment));
        }
        while found.len() > self.limit {
            found.pop_first();
            next = found.first_key_value().map(|(oldest, _)| oldest.clone());
        }
        LogPage {
            items: found.into_values().collect(),
            next: next.map(|cursor| cursor.to_string()),
        }
    }
}

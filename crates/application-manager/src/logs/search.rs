//! Which lines of which blocks answer a query. Pure: blocks come in bucket by bucket, newest bucket first, until enough is known.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::block::{BUCKET, Block, LONGEST};
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

    /// The newest bucket that may hold lines before the cursor; blocks end there that begin up to their length earlier.
    pub(super) fn first_bucket(&self) -> Option<i64> {
        self.before
            .as_ref()
            .map(|before| before.time.saturating_add(LONGEST).div_euclid(BUCKET))
    }

    /// Looks at a block.
    pub(super) fn add(&mut self, block: &Block) {
        for line in &block.lines {
            let entry = LogEntry::new(&block.container, line);
            let place = Cursor::of(&entry);
            if self.before.as_ref().is_none_or(|before| place < *before) && self.fits(&entry.text) {
                self.found.insert(place, entry);
                // One more than asked for tells whether anything is older.
                if self.found.len() > self.limit + 1 {
                    self.found.pop_first();
                }
            }
        }
    }

    /// Whether more buckets would change nothing once all down to this one were looked at: what follows ended before it.
    pub(super) fn is_known(&self, bucket: i64) -> bool {
        let begin = bucket.saturating_mul(BUCKET);
        self.found.len() > self.limit
            && self
                .found
                .first_key_value()
                .is_some_and(|(oldest, _)| oldest.time >= begin)
    }

    /// Makes the answer when everything was looked at that matters.
    pub(super) fn answer(self) -> LogPage {
        self.complete_from(i64::MIN, None)
    }

    /// Makes the answer when the search ends early, with this bucket: of what is known to be complete.
    pub(super) fn answer_down_to(self, bucket: i64) -> LogPage {
        let begin = bucket.saturating_mul(BUCKET);
        self.complete_from(begin, Some(Cursor::at(begin)))
    }

    fn fits(&self, text: &str) -> bool {
        self.text
            .as_ref()
            .is_none_or(|wanted| text.to_lowercase().contains(wanted))
    }

    fn complete_from(mut self, moment: i64, mut next: Option<Cursor>) -> LogPage {
        let mut found = self.found.split_off(&Cursor::at(moment));
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

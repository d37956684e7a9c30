//! The journal: what the platform has acknowledged, one JSON object a line, only ever appended.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc;

use anyhow::Context;
use common::ids::{ActionId, DeviceId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::device::Answer;
use crate::reading::JournalledReading;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// The platform acknowledged a reading.
    Reading(JournalledReading),
    /// The platform refused a reading (HTTP 4xx); it will not be sent again.
    Rejected {
        /// The reading.
        reading: JournalledReading,
        /// What the platform said.
        reason: String,
    },
    /// A device received a command.
    Command {
        /// The device.
        device: DeviceId,
        /// The command's id.
        command: ActionId,
        /// What to do.
        name: String,
        /// How.
        arguments: BTreeMap<String, Value>,
        /// Whether it was received before.
        repeat: bool,
    },
    /// The platform acknowledged a device's answer.
    Answered {
        /// The device.
        device: DeviceId,
        /// The command's id.
        command: ActionId,
        /// The answer.
        answer: Answer,
    },
}

enum Order {
    Write(Entry),
    Flush(oneshot::Sender<bool>),
}

/// Writes lines on its own thread; without a file it keeps nothing.
#[derive(Debug, Clone)]
pub struct Journal {
    orders: Option<mpsc::Sender<Order>>,
}

impl Journal {
    /// Opens a journal for appending.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self { orders: None });
        };
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("could not open the journal {}", path.display()))?;
        let (orders, incoming) = mpsc::channel();
        std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || write_all(&incoming, file))
            .context("could not start the journal's thread")?;
        Ok(Self { orders: Some(orders) })
    }

    /// Adds a line.
    pub fn record(&self, entry: Entry) {
        if let Some(orders) = &self.orders
            && orders.send(Order::Write(entry)).is_err()
        {
            tracing::error!("the journal's thread has ended, an entry is lost");
        }
    }

    /// Waits until every line recorded so far is in the file.
    ///
    /// # Errors
    /// When a line could not be written.
    pub async fn flush(&self) -> anyhow::Result<()> {
        let Some(orders) = &self.orders else { return Ok(()) };
        let (done, result) = oneshot::channel();
        anyhow::ensure!(
            orders.send(Order::Flush(done)).is_ok() && result.await.unwrap_or(false),
            "the journal is not complete: writing failed"
        );
        Ok(())
    }
}

fn write_all(orders: &mpsc::Receiver<Order>, file: File) {
    let mut file = BufWriter::new(file);
    let mut complete = true;
    let mut note = |result: std::io::Result<()>| {
        if let Err(error) = result {
            complete = false;
            tracing::error!(%error, "the journal could not be written");
        }
        complete
    };
    while let Ok(order) = orders.recv() {
        let mut next = Some(order);
        // Whatever has piled up goes into one write; nothing stays in the buffer while the thread waits.
        while let Some(order) = next {
            match order {
                Order::Write(entry) => {
                    note(write_line(&mut file, &entry));
                }
                Order::Flush(done) => {
                    let complete = note(file.flush());
                    if done.send(complete).is_err() {
                        tracing::debug!("nobody waits for the journal any more");
                    }
                }
            }
            next = orders.try_recv().ok();
        }
        note(file.flush());
    }
}

fn write_line(file: &mut impl Write, entry: &Entry) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(entry).map_err(std::io::Error::other)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// Reads a journal.
///
/// # Errors
/// When it cannot be read or a line is not an entry; names the line.
pub fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("{} line {} is not a journal entry", path.display(), index + 1))
        })
        .collect()
}

/// Returns the acknowledged readings of a journal, in the order of their acknowledgement.
///
/// # Errors
/// As [`read`].
pub fn readings(path: &Path) -> anyhow::Result<Vec<JournalledReading>> {
    let entries = read(path)?.into_iter();
    Ok(entries
        .filter_map(|entry| {
            if let Entry::Reading(reading) = entry {
                Some(reading)
            } else {
                None
            }
        })
        .collect())
}

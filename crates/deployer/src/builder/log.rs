//! What a build prints, on its way to `app.logs`.

use std::time::Duration;

use common::messages::log::{AppLog, LogLine, Stream};
use common::{MessageId, Timestamp};
use runtime::Bus;
use tokio::sync::mpsc;

use crate::lines::{Piece, Splitter, clean};
use crate::records::VersionRecord;

/// Lines of a build's log; what follows is left out.
const LINES: u64 = 20_000;
/// Numbers of log lines that each try has for itself, so that a second try is no repeat of the first.
const NUMBERS: u64 = 1_000_000;
/// Lines of output that a failure quotes.
const QUOTED: usize = 15;

/// Carries what a build prints to `app.logs` while it runs.
pub(super) struct BuildLog {
    pub(super) output: mpsc::UnboundedSender<Piece>,
    carrying: tokio::task::JoinHandle<Vec<String>>,
}

impl BuildLog {
    pub(super) fn start(bus: &Bus, record: &VersionRecord, attempt: u32) -> Self {
        let (output, pieces) = mpsc::unbounded_channel();
        let log = Carrier {
            bus: bus.clone(),
            version: record.id,
            next: u64::from(attempt) * NUMBERS,
            last: u64::from(attempt) * NUMBERS + LINES,
            recent: Vec::new(),
        };
        Self {
            output,
            carrying: tokio::spawn(log.carry(pieces)),
        }
    }

    /// Adds a line of the platform's own.
    pub(super) fn say(&mut self, text: &str) {
        // Fails only when the carrier is gone; then there is nobody to tell.
        self.output.send(Piece::Remark(text.to_owned())).unwrap_or_default();
    }

    /// Ends the log; returns its last lines of output.
    pub(super) async fn finish(self) -> Vec<String> {
        drop(self.output);
        self.carrying.await.unwrap_or_default()
    }
}

struct Carrier {
    bus: Bus,
    version: common::VersionId,
    next: u64,
    last: u64,
    recent: Vec<String>,
}

impl Carrier {
    async fn carry(mut self, mut pieces: mpsc::UnboundedReceiver<Piece>) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut waiting = Vec::new();
        let mut open = true;
        while open {
            let batch = tokio::time::sleep(Duration::from_millis(200));
            let mut batch = std::pin::pin!(batch);
            loop {
                tokio::select! {
                    piece = pieces.recv() => match piece {
                        Some(Piece::Remark(text)) => {
                            let rest = splitter.finish().into_iter().filter(|line| !line.is_empty());
                            self.add(rest, Stream::Stdout, &mut waiting);
                            self.add(text.lines().flat_map(clean), Stream::Platform, &mut waiting);
                        }
                        Some(Piece::Output(piece)) => self.add(splitter.push(&piece), Stream::Stdout, &mut waiting),
                        None => open = false,
                    },
                    () = &mut batch => break,
                }
                if !open || waiting.len() >= 50 {
                    break;
                }
            }
            self.publish(&mut waiting).await;
        }
        self.recent
    }

    fn add(&mut self, lines: impl IntoIterator<Item = String>, stream: Stream, waiting: &mut Vec<LogLine>) {
        for text in lines {
            let text = match self.next.cmp(&self.last) {
                std::cmp::Ordering::Less => text,
                std::cmp::Ordering::Equal => format!("more than {LINES} lines: the rest is left out"),
                std::cmp::Ordering::Greater if stream == Stream::Platform => text,
                std::cmp::Ordering::Greater => continue,
            };
            if stream == Stream::Stdout && !is_chatter(&text) {
                self.recent.push(text.clone());
                let surplus = self.recent.len().saturating_sub(QUOTED);
                self.recent.drain(..surplus);
            }
            self.next += 1;
            waiting.push(LogLine {
                number: self.next,
                time: Timestamp::now(),
                stream,
                text,
            });
        }
    }

    /// Publishes until Kafka has the lines: a log with holes would mislead.
    async fn publish(&self, waiting: &mut Vec<LogLine>) {
        let Some(first) = waiting.first().map(|line| line.number) else {
            return;
        };
        let id = MessageId::derive(&["deployer", &self.version.to_string(), "line", &first.to_string()]);
        let log = AppLog::Build {
            version: self.version,
            lines: std::mem::take(waiting),
        };
        while let Err(error) = self.bus.publish_first(id, log.clone()).await {
            tracing::warn!(%error, "the log of a build waits");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Whether a line is the builder's own, not what a step printed: a failure does not quote it.
fn is_chatter(line: &str) -> bool {
    let line = line.trim();
    line.is_empty()
        || ["--->", "Step ", "Removing intermediate container "]
            .iter()
            .any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use runtime::memory::MemoryBus;

    use super::*;
    use crate::versions::{self, Asked, tests::application};

    #[tokio::test]
    async fn a_log_is_numbered_per_try_and_quoted() {
        let (memory, bus) = MemoryBus::bus("deployer");
        let application = application(common::messages::application::VersionState::Building);
        let Asked::Keep(record) = versions::fold(&application, &application.versions[0], None) else {
            panic!()
        };
        for attempt in 1..=2 {
            let mut log = BuildLog::start(&bus, &record, attempt);
            log.output
                .send(Piece::Output("Step 1/2 : FROM x\nRun".to_owned()))
                .unwrap();
            log.output.send(Piece::Output("ning pip\n".to_owned())).unwrap();
            log.say("failed: no");
            assert_eq!(log.finish().await, ["Running pip"]);
        }
        let lines: Vec<(u64, Stream, String)> = memory
            .distinct::<AppLog>()
            .into_iter()
            .flat_map(|log| match log {
                AppLog::Build { lines, .. } => lines,
                AppLog::Instance { .. } => panic!(),
            })
            .map(|line| (line.number, line.stream, line.text))
            .collect();
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[1], (1_000_002, Stream::Stdout, "Running pip".to_owned()));
        assert_eq!(lines[5], (2_000_003, Stream::Platform, "failed: no".to_owned()));
    }
}

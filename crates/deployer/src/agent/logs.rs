//! What applications print → `app.logs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::messages::log::{AppLog, LogLine, Stream};
use common::{MessageId, Timestamp};
use futures_util::StreamExt;
use runtime::health::Part;
use runtime::{Bus, BusError, Change, Context, Entities};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::cursor::{Cursor, Position, RateCap};
use crate::docker::Engine;
use crate::docker::containers::{ContainerSeen, Phase, RawLine};
use crate::lines;

/// Time between two looks for new containers.
const LOOK: Duration = Duration::from_millis(500);
/// Longest time that a line waits for others.
const BATCH: Duration = Duration::from_millis(150);
const BATCH_LINES: usize = 500;
/// Even if each byte had to be escaped, a batch stays below what Kafka takes.
const BATCH_BYTES: usize = 128 * 1024;
/// Time between two writes of a cursor; what was read since is read again after a crash, with the same numbers.
const SAVE: Duration = Duration::from_secs(2);

/// Reads all containers of this host.
pub(crate) struct Collector {
    engine: Engine,
    reader: Reader,
    part: Part,
    readers: BTreeMap<String, JoinHandle<anyhow::Result<()>>>,
    /// Containers whose end was read.
    finished: BTreeSet<String>,
}

impl Collector {
    pub(crate) fn new(context: &Context, engine: Engine) -> Self {
        let reader = Reader {
            engine: engine.clone(),
            bus: context.bus.clone(),
            cursors: context.entities::<Cursor>(),
            node: context.settings.host.clone(),
        };
        let part = context.health.part("docker engine");
        Self {
            engine,
            reader,
            part,
            readers: BTreeMap::new(),
            finished: BTreeSet::new(),
        }
    }

    /// Runs until the agent ends.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut forgotten = false;
        loop {
            match self.engine.containers().await {
                Ok(containers) => {
                    self.part.ready();
                    self.follow(&containers).await;
                    if !forgotten {
                        forgotten = self.forget(&containers).await.is_ok();
                    }
                }
                Err(error) => self.part.waits_for(&error.to_string()),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn follow(&mut self, containers: &[ContainerSeen]) {
        let ended: Vec<String> = self
            .readers
            .iter()
            .filter(|(_, reader)| reader.is_finished())
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            let Some(reader) = self.readers.remove(&id) else {
                continue;
            };
            match reader.await {
                Ok(Ok(())) => {
                    // It may have ended since the list was made; then it is read once more and found to be finished.
                    let runs = |container: &ContainerSeen| container.id == id && container.phase != Phase::Over;
                    if !containers.iter().any(runs) {
                        self.finished.insert(id);
                    }
                }
                Ok(Err(error)) => tracing::debug!(container = id, "a log is read again: {error:#}"),
                Err(error) => tracing::warn!(container = id, %error, "the reader of a log failed"),
            }
        }
        for container in containers {
            let known = self.finished.contains(&container.id) || self.readers.contains_key(&container.id);
            if !known && container.phase != Phase::New {
                let reading = tokio::spawn(self.reader.clone().read(container.clone()));
                self.readers.insert(container.id.clone(), reading);
            }
        }
        let gone: Vec<String> = self
            .finished
            .iter()
            .filter(|id| !containers.iter().any(|container| container.id == **id))
            .cloned()
            .collect();
        for id in gone {
            // What can not be deleted now is deleted after the next start.
            if self.reader.delete(&id).await.is_ok() {
                self.finished.remove(&id);
            }
        }
    }

    /// Deletes cursors of containers that went while the agent was away.
    async fn forget(&self, containers: &[ContainerSeen]) -> anyhow::Result<()> {
        for stored in self.reader.cursors.list(&[("node", &self.reader.node)]).await? {
            if !containers.iter().any(|container| container.id == stored.id) && !self.readers.contains_key(&stored.id) {
                self.reader.delete(&stored.id).await?;
            }
        }
        Ok(())
    }
}

/// Reads one container.
#[derive(Clone)]
struct Reader {
    engine: Engine,
    bus: Bus,
    cursors: Entities<Cursor>,
    node: String,
}

/// Lines on their way.
struct Batch {
    container: ContainerSeen,
    position: Position,
    cap: RateCap,
    lines: Vec<LogLine>,
    bytes: usize,
    /// Number and moment of the first line that was left out.
    left_out: Option<(u64, Timestamp)>,
}

impl Reader {
    /// Reads from where the cursor is until the container ends and all is in Kafka.
    async fn read(self, container: ContainerSeen) -> anyhow::Result<()> {
        let known = self.cursors.get(&container.id).await?.map(|stored| stored.entity);
        let cursor = known.unwrap_or_else(|| Cursor {
            node: self.node.clone(),
            ..Cursor::default()
        });
        if cursor.finished {
            return Ok(());
        }
        let mut saved = (cursor.clone(), Instant::now());
        let mut batch = Batch {
            position: Position::resume(cursor),
            cap: RateCap::new(Timestamp::now().millis()),
            lines: Vec::new(),
            bytes: 0,
            left_out: None,
            container,
        };
        let printed = self.engine.logs(&batch.container.id, batch.position.since()).await?;
        let mut printed = std::pin::pin!(printed);
        let mut interval = tokio::time::interval(BATCH);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let line = tokio::select! {
                line = printed.next() => line,
                _ = interval.tick() => {
                    self.publish(&mut batch).await;
                    if saved.1.elapsed() >= SAVE && saved.0 != *batch.position.cursor() {
                        saved = (self.save(&batch, false).await?, Instant::now());
                    }
                    continue;
                }
            };
            match line {
                Some(line) => batch.add(&line?),
                None => break,
            }
            if batch.lines.len() >= BATCH_LINES || batch.bytes >= BATCH_BYTES {
                self.publish(&mut batch).await;
            }
        }
        self.publish(&mut batch).await;
        // A stream also ends when the Engine does: only a container that is over is finished.
        let running = self
            .engine
            .containers()
            .await?
            .iter()
            .any(|other| other.id == batch.container.id && other.phase != Phase::Over);
        self.save(&batch, !running).await?;
        Ok(())
    }

    /// Publishes until Kafka has the lines; meanwhile the log waits in the Engine.
    async fn publish(&self, batch: &mut Batch) {
        batch.remark();
        let Some(first) = batch.lines.first().map(|line| line.number) else {
            return;
        };
        let container: String = batch.container.id.chars().take(12).collect();
        let id = MessageId::derive(&[
            "agent",
            &batch.container.id,
            &first.to_string(),
            &batch.lines.len().to_string(),
        ]);
        let lines = std::mem::take(&mut batch.lines);
        batch.bytes = 0;
        let log = AppLog::Instance {
            instance: batch.container.instance,
            container,
            lines,
        };
        while let Err(error) = self.bus.publish_first(id, log.clone()).await {
            if matches!(error, BusError::TooLarge | BusError::Encode(_)) {
                tracing::error!(%error, "lines of a log can not be published");
                return;
            }
            tracing::debug!(%error, "a log waits for kafka");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn save(&self, batch: &Batch, finished: bool) -> anyhow::Result<Cursor> {
        let cursor = Cursor {
            finished,
            ..batch.position.cursor().clone()
        };
        let put = |_: Option<&Cursor>, _| {
            Ok::<_, BusError>(Change::Put {
                entity: cursor.clone(),
                records: Vec::new(),
            })
        };
        self.cursors
            .apply(&batch.container.id, None, put)
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(batch.position.cursor().clone())
    }

    async fn delete(&self, container: &str) -> anyhow::Result<()> {
        let delete = |_: Option<&Cursor>, _| Ok::<_, BusError>(Change::Delete { records: Vec::new() });
        self.cursors
            .apply(container, None, delete)
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(())
    }
}

impl Batch {
    fn add(&mut self, raw: &RawLine) {
        let text = String::from_utf8_lossy(&raw.bytes);
        let (moment, text) = stamped(&text).unwrap_or((self.position.cursor().newest, &text));
        let parts = lines::clean(text);
        let Some(first) = self.position.take(moment, parts.len() as u64) else {
            return;
        };
        let time = Timestamp::from_millis(moment.div_euclid(1_000_000));
        if !self.cap.admits(raw.bytes.len(), Timestamp::now().millis()) {
            self.left_out.get_or_insert((first, time));
            return;
        }
        self.remark();
        for (number, text) in (first..).zip(parts) {
            self.bytes += text.len();
            self.lines.push(LogLine {
                number,
                time,
                stream: raw.stream,
                text,
            });
        }
    }

    /// Says what was left out, in the place of the first line that was.
    fn remark(&mut self) {
        if let Some((number, time)) = self.left_out.take()
            && let Some(text) = self.cap.remark()
        {
            self.lines.push(LogLine {
                number,
                time,
                stream: Stream::Platform,
                text,
            });
        }
    }
}

/// Takes the moment off a line, in nanoseconds.
fn stamped(line: &str) -> Option<(i64, &str)> {
    let (moment, text) = line.split_once(' ')?;
    let moment: jiff::Timestamp = moment.parse().ok()?;
    Some((i64::try_from(moment.as_nanosecond()).ok()?, text))
}

#[cfg(test)]
mod tests {
    use common::InstanceId;

    use super::*;

    fn raw(text: &str) -> RawLine {
        RawLine {
            stream: Stream::Stdout,
            bytes: bytes::Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    #[test]
    fn moments_are_taken_off() {
        assert_eq!(
            stamped("1970-01-01T00:00:01.000000002Z hello world\n"),
            Some((1_000_000_002, "hello world\n"))
        );
        assert_eq!(stamped("hello world"), None);
        assert_eq!(stamped(""), None);
    }

    #[test]
    fn what_is_left_out_is_said_in_its_place() {
        let container = ContainerSeen {
            id: "c".to_owned(),
            instance: InstanceId::derive(&["one"]),
            phase: Phase::Running,
        };
        let mut batch = Batch {
            container,
            position: Position::resume(Cursor::default()),
            cap: RateCap::new(Timestamp::now().millis()),
            lines: Vec::new(),
            bytes: 0,
            left_out: None,
        };
        batch.add(&raw("2026-01-01T00:00:00.000000000Z first\n"));
        batch.add(&raw(&format!(
            "2026-01-01T00:00:00.000000000Z {}\n",
            "x".repeat(4 * 1024 * 1024)
        )));
        batch.add(&raw("2026-01-01T00:00:00.000000000Z last\n"));
        let seen: Vec<(u64, Stream)> = batch.lines.iter().map(|line| (line.number, line.stream)).collect();
        assert_eq!(
            seen,
            [(1, Stream::Stdout), (2, Stream::Platform), (514, Stream::Stdout)]
        );
        assert_eq!(batch.lines[2].text, "last");
    }
}

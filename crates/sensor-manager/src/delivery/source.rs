//! Where a connection gets its records from: its own reader while it is behind, the hub once it is not.
//!
//! The join: the connection subscribes while it is near, which fixes the position from which the hub queues; its own
//! reader goes on until everything before that position is looked at; then the queue takes over. What both have comes
//! twice and is known by its offset ([`Stream::record`]). No record is between them.

use std::sync::Arc;

use super::Position;
use super::hub::{Hub, LiveItem, Subscription};
use super::log::{Log, LogItem, LogReader, PlacedReading};
use super::stream::Stream;

/// Records between a connection and the live end at most when it subscribes: they must fit into the queue meanwhile.
const NEAR: i64 = 1000;
/// After how many records a connection looks whether it is near.
const LOOK: u32 = 64;

/// What a source comes upon.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A reading.
    Reading(Arc<PlacedReading>),
    /// Everything before was looked at.
    Scanned(Position),
    /// As [`Event::Scanned`]; and this is the live end.
    Joined(Position),
    /// Records are gone: partition → offset of the next one.
    Gap(Position),
    /// The log ends before what was scanned: partition → its end.
    Truncated(Position),
    /// Everything up to the target was read. Comes once; after it nothing comes.
    End,
}

/// Where a connection gets its records from.
pub struct Source {
    log: Arc<dyn Log>,
    hub: Hub,
    /// The end of a stream that does not go on live.
    target: Option<Position>,
    mode: Mode,
}

enum Mode {
    Start,
    Reading(Behind),
    Live(Subscription),
    Ended,
}

struct Behind {
    reader: Box<dyn LogReader>,
    /// The queue that takes over, and from where on.
    join: Option<(Subscription, Position)>,
    since_look: u32,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mode = match &self.mode {
            Mode::Start => "start",
            Mode::Reading(_) => "reading",
            Mode::Live(_) => "live",
            Mode::Ended => "ended",
        };
        f.debug_struct("Source").field("mode", &mode).finish_non_exhaustive()
    }
}

impl Source {
    /// Makes a source; with a target it ends there instead of going on live.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, hub: Hub, target: Option<Position>) -> Self {
        Self {
            log,
            hub,
            target,
            mode: Mode::Start,
        }
    }

    /// Follows another binding of the stream.
    pub fn rebind(&mut self, stream: &Stream) {
        match &self.mode {
            Mode::Live(subscription) => subscription.set_sensors(stream.sensors()),
            Mode::Reading(_) => self.mode = Mode::Start,
            Mode::Start | Mode::Ended => {}
        }
    }

    /// Returns what comes next after what the stream has scanned. Cancel safe.
    ///
    /// # Errors
    /// When reading fails for good.
    pub async fn next(&mut self, stream: &Stream) -> anyhow::Result<Event> {
        loop {
            if let Some(target) = &self.target
                && !matches!(self.mode, Mode::Ended)
                && stream.covers(target)
            {
                self.mode = Mode::Ended;
                return Ok(Event::End);
            }
            match &mut self.mode {
                Mode::Start => {
                    if let Some(event) = self.start(stream).await? {
                        return Ok(event);
                    }
                }
                Mode::Reading(behind) => {
                    if let Some(from) = behind.joined(stream) {
                        if let Mode::Reading(Behind {
                            join: Some((subscription, _)),
                            ..
                        }) = std::mem::replace(&mut self.mode, Mode::Start)
                        {
                            self.mode = Mode::Live(subscription);
                        }
                        return Ok(Event::Joined(from));
                    }
                    let live = self.target.is_none().then_some(&self.hub);
                    if let Some(event) = behind.next(stream, live).await? {
                        return Ok(event);
                    }
                }
                Mode::Live(subscription) => match subscription.next().await {
                    Some(LiveItem::Reading(placed)) => return Ok(Event::Reading(placed)),
                    Some(LiveItem::Mark(position)) => return Ok(Event::Scanned(Position::clone(&position))),
                    None => self.mode = Mode::Start,
                },
                Mode::Ended => std::future::pending().await,
            }
        }
    }

    async fn start(&mut self, stream: &Stream) -> anyhow::Result<Option<Event>> {
        if self.target.is_none() {
            let (subscription, from) = self.hub.subscribe(stream.sensors());
            // One that is ahead of the hub is so by moments, or the log was cut: a reader of its own finds out.
            if stream.covers(&from) && !stream.is_ahead_of(&from) {
                self.mode = Mode::Live(subscription);
                return Ok(Some(Event::Joined(from)));
            }
        }
        let wanted = stream.wanted();
        let reader = self.log.read(wanted.clone()).await?;
        let differs = |differs: fn(&i64, &i64) -> bool| -> Position {
            let starts = reader.start().iter();
            starts
                .filter(|(partition, start)| wanted.get(partition).is_some_and(|next| differs(start, next)))
                .map(|(partition, start)| (*partition, *start))
                .collect()
        };
        let (gap, cut) = (differs(|start, next| start > next), differs(|start, next| start < next));
        self.mode = Mode::Reading(Behind {
            reader,
            join: None,
            since_look: LOOK,
        });
        if !cut.is_empty() {
            // What was deleted, if anything, shows when it starts again from there.
            self.mode = Mode::Start;
            return Ok(Some(Event::Truncated(cut)));
        }
        Ok((!gap.is_empty()).then_some(Event::Gap(gap)))
    }
}

impl Behind {
    /// Returns the position at which the queue takes over, when everything before it was looked at.
    fn joined(&self, stream: &Stream) -> Option<Position> {
        let (_, from) = self.join.as_ref()?;
        stream.covers(from).then(|| from.clone())
    }

    async fn next(&mut self, stream: &Stream, live: Option<&Hub>) -> anyhow::Result<Option<Event>> {
        if let (Some(hub), None) = (live, &self.join)
            && self.since_look >= LOOK
        {
            self.since_look = 0;
            if stream.behind(&hub.ends()) <= NEAR {
                self.join = Some(hub.subscribe(stream.sensors()));
                return Ok(None);
            }
        }
        self.since_look += 1;
        Ok(Some(match self.reader.next().await? {
            LogItem::Reading(placed) => Event::Reading(placed),
            LogItem::Other { partition, offset } => Event::Scanned(Position::from([(partition, offset + 1)])),
            LogItem::CaughtUp => {
                self.since_look = LOOK;
                Event::Scanned(self.reader.ends().clone())
            }
        }))
    }
}

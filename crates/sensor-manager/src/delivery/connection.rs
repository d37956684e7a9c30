//! One WebSocket of an application, from its wish for the session to its end.

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use common::messages::binding::{BindingState, SessionEvent};
use common::{InstanceId, Message as _, MessageId, Timestamp};
use futures_util::future::BoxFuture;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use runtime::{ApplyError, StoreError};
use serde_json::value::RawValue;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Position;
use super::frames::{BindingView, Checkpoint, Frame};
use super::gateway::Gateway;
use super::lease::Wish;
use super::source::{Event, Source};
use super::store::{Checkpoint as Stored, Session};
use super::stream::{Mark, Stream};

/// Largest state, in bytes of JSON.
pub const LARGEST_STATE: usize = 256 * 1024;
/// Close code: a newer session exists.
const FENCED: u16 = 4409;
/// Frames that wait for the socket at most, in the core and in the writer.
const WAITING: usize = 64;

/// A connection that was admitted.
#[derive(Debug)]
pub struct Connection {
    pub(super) wish: Wish,
    pub(super) until_now: bool,
    pub(super) from: Option<Timestamp>,
    pub(super) gateway: Gateway,
}

/// Why a connection ends.
#[derive(Debug)]
enum Ended {
    /// The application closed it or is gone.
    Gone,
    /// A newer session exists, or the instance is over.
    Fenced,
    /// This service ends.
    Shutdown,
    /// The application said what makes no sense.
    Wrong(u16, String),
    /// It can not go on here; the application connects again.
    Failed(anyhow::Error),
}

/// A checkpoint on its way to the store.
#[derive(Debug)]
struct Save {
    n: u64,
    mark: Mark,
    state: Option<String>,
}

impl Connection {
    /// Serves the socket until it ends.
    pub async fn serve(self, socket: WebSocket) {
        let (sink, incoming) = socket.split();
        let (outgoing, queue) = mpsc::channel(WAITING);
        let mut writer = tokio::spawn(write(sink, queue));
        let mut line = Line {
            incoming,
            outgoing,
            heard: Instant::now(),
        };
        let ended = match self.run(&mut line).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        metrics::counter!("delivery_connections_ended_total").increment(1);
        let (code, reason) = match ended {
            Ended::Gone => (1000, String::new()),
            Ended::Fenced => {
                line.send(&Frame::Fenced).await;
                (FENCED, "a newer session exists".to_owned())
            }
            Ended::Shutdown => (1001, "the service is restarted".to_owned()),
            Ended::Wrong(code, reason) => (code, reason),
            Ended::Failed(error) => {
                tracing::warn!(instance = %self.wish.instance, "a stream ended: {error:#}");
                (1011, "try again".to_owned())
            }
        };
        let close = CloseFrame {
            code,
            reason: reason.into(),
        };
        // Whoever does not read any more must not keep this task.
        let goodbye = async {
            drop(line.outgoing.send(Message::Close(Some(close))).await);
            drop(line);
            drop((&mut writer).await);
        };
        drop(tokio::time::timeout(Duration::from_secs(2), goodbye).await);
        writer.abort();
    }

    async fn run(&self, line: &mut Line) -> Result<std::convert::Infallible, Ended> {
        let session = self.wait_for_session(line).await?;
        tracing::debug!(instance = %session.instance, session = session.number, "session taken");
        let keeper = Keeper::start(self.gateway.clone(), session);
        let changes = self.gateway.changes.subscribe();
        let opening = async {
            let (slots, start) = self.binding().await?;
            let start = match self.from {
                Some(from) => self.until_ok("offsets", || self.gateway.log.at_time(from)).await,
                None => start,
            };
            let target = match self.until_now {
                true => Some(self.until_ok("end offsets", || self.gateway.log.ends()).await),
                false => None,
            };
            let stored = self.open(session, &start).await?;
            tracing::debug!(instance = %session.instance, session = session.number, "older sessions are locked out");
            self.announce(session).await;
            Ok((slots, target, stored))
        };
        let (view, target, stored) = tokio::select! {
            opened = opening => opened?,
            ended = line.idle(&self.gateway) => return Err(ended),
        };
        let state = stored.state.clone().and_then(|text| RawValue::from_string(text).ok());
        line.send(&Frame::Opened {
            session: session.number,
            state,
            carried: false,
            binding: view.clone(),
        })
        .await;
        tracing::info!(instance = %session.instance, session = session.number, replica = self.wish.replica, "session opened");
        let live = Live {
            connection: self,
            session,
            stream: Stream::new(stored.mark(), &view),
            source: Source::new(self.gateway.log.clone(), self.gateway.hub.clone(), target),
            view,
            frames: VecDeque::new(),
            saving: None,
            next_save: None,
            asked: VecDeque::new(),
            caught_up: false,
            looking: None,
            look_again: false,
        };
        live.run(line, keeper, changes).await
    }

    async fn wait_for_session(&self, line: &mut Line) -> Result<Session, Ended> {
        let mut told = false;
        loop {
            match self.gateway.sessions.take(&self.wish, Timestamp::now()).await {
                Ok(Some(session)) => return Ok(session),
                Ok(None) if !told => {
                    told = true;
                    line.send(&Frame::Standby).await;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "a session waits for the store"),
            }
            tokio::select! {
                () = tokio::time::sleep(self.gateway.pace.retry) => {}
                ended = line.idle(&self.gateway) => return Err(ended),
            }
        }
    }

    /// Tries until it works; the caller gives up when the connection does.
    async fn until_ok<T, E, F>(&self, what: &str, work: impl Fn() -> F) -> T
    where
        E: std::fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        loop {
            match work().await {
                Ok(done) => return done,
                Err(error) => tracing::debug!(what, %error, "a stream waits"),
            }
            tokio::time::sleep(self.gateway.pace.retry).await;
        }
    }

    /// Returns what is bound and where its readings begin.
    async fn binding(&self) -> Result<(BindingView, Position), Ended> {
        let id = self.wish.instance.to_string();
        let stored = self.until_ok("binding", || self.gateway.bindings.get(&id)).await;
        match stored.map(|stored| (stored.entity.binding.state, stored.entity.start)) {
            Some((BindingState::Bound { slots }, start)) => {
                Ok((BindingView::of(&slots, &self.gateway.directory), start))
            }
            Some((BindingState::Released, _)) => Err(Ended::Fenced),
            Some((BindingState::Unsatisfied { .. }, _)) | None => {
                Err(Ended::Failed(anyhow::anyhow!("the instance is not bound")))
            }
        }
    }

    async fn open(&self, session: Session, start: &Position) -> Result<Stored, Ended> {
        loop {
            match self.gateway.sessions.open(session, start).await {
                Ok(stored) => return Ok(stored),
                Err(ApplyError::Refused(_)) => return Err(Ended::Fenced),
                Err(ApplyError::Store(error)) => tracing::debug!(%error, "a checkpoint waits for the store"),
            }
            tokio::time::sleep(self.gateway.pace.retry).await;
        }
    }

    /// Tells who acts for the instance, durably, before it may act.
    async fn announce(&self, session: Session) {
        let event = SessionEvent::Opened {
            instance: session.instance,
            shard: session.shard,
            session: session.number,
            replica: self.wish.replica.clone(),
            at: Timestamp::now(),
        };
        let id = MessageId::derive(&["session", &event.key(), &session.number.to_string()]);
        self.until_ok("session event", || self.gateway.bus.publish_first(id, event.clone()))
            .await;
    }
}

/// The two ends of the socket.
struct Line {
    incoming: SplitStream<WebSocket>,
    outgoing: mpsc::Sender<Message>,
    heard: Instant,
}

impl Line {
    async fn send(&self, frame: &Frame) {
        match serde_json::to_string(frame) {
            // A closed line is noticed where it is read.
            Ok(text) => drop(self.outgoing.send(Message::Text(text.into())).await),
            Err(error) => tracing::error!(%error, "a frame can not be written"),
        }
    }

    /// Returns the next text; notes every sign of life.
    async fn text(&mut self) -> Result<axum::extract::ws::Utf8Bytes, Ended> {
        loop {
            let message = self.incoming.next().await;
            self.heard = Instant::now();
            match message {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_))) => return Err(Ended::Wrong(1003, "only text is understood".to_owned())),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Ended::Gone),
            }
        }
    }

    /// Says that this side is there; fails when the other has been silent for too long.
    fn ping(&self, silence: Duration) -> Result<(), Ended> {
        if self.heard.elapsed() > silence {
            return Err(Ended::Gone);
        }
        // When the queue is full, what waits in it serves as well.
        drop(self.outgoing.try_send(Message::Ping(axum::body::Bytes::new())));
        Ok(())
    }

    /// Waits for the end of a connection that has nothing to say yet.
    async fn idle(&mut self, gateway: &Gateway) -> Ended {
        let mut tick = tokio::time::interval(gateway.pace.renew);
        loop {
            tokio::select! {
                () = gateway.shutdown.cancelled() => return Ended::Shutdown,
                text = self.text() => match text {
                    Ok(_) => return Ended::Wrong(1002, "the session is not opened yet".to_owned()),
                    Err(ended) => return ended,
                },
                _ = tick.tick() => if let Err(ended) = self.ping(gateway.pace.silence) { return ended },
            }
        }
    }
}

async fn write(mut sink: SplitSink<WebSocket, Message>, mut queue: mpsc::Receiver<Message>) {
    while let Some(message) = queue.recv().await {
        let mut outcome = sink.feed(message).await;
        while let (Ok(()), Ok(message)) = (&outcome, queue.try_recv()) {
            outcome = sink.feed(message).await;
        }
        if outcome.is_err() || sink.flush().await.is_err() {
            return;
        }
    }
}

/// Renews a lease until it is dropped, then frees it.
struct Keeper {
    over: watch::Receiver<bool>,
    _end: DropGuard,
}

impl Keeper {
    fn start(gateway: Gateway, session: Session) -> Self {
        let (lost, over) = watch::channel(false);
        let end = CancellationToken::new();
        let ended = end.clone();
        drop(tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = ended.cancelled() => break,
                    () = tokio::time::sleep(gateway.pace.renew) => {}
                }
                match gateway.sessions.renew(session, Timestamp::now()).await {
                    Ok(true) => {}
                    Ok(false) => {
                        lost.send_replace(true);
                        return;
                    }
                    // Nobody else can take it either without the store; checkpoints are guarded by the session itself.
                    Err(error) => tracing::debug!(%error, "a lease waits for the store"),
                }
            }
            if let Err(error) = gateway.sessions.free(session, Timestamp::now()).await {
                tracing::debug!(%error, "a lease was not freed; it ends by itself");
            }
        }));
        Self {
            over,
            _end: end.drop_guard(),
        }
    }

    async fn lost(&mut self) {
        if self.over.wait_for(|over| *over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// An opened session.
struct Live<'a> {
    connection: &'a Connection,
    session: Session,
    stream: Stream,
    source: Source,
    view: BindingView,
    /// What waits for the socket.
    frames: VecDeque<Frame>,
    /// The checkpoint that is being written: resolves to whether the session is still ours.
    saving: Option<(u64, BoxFuture<'static, bool>)>,
    /// The newest one that came meanwhile.
    next_save: Option<Save>,
    /// Checkpoints that wait for their answer.
    asked: VecDeque<u64>,
    caught_up: bool,
    /// A look at the binding that is under way; whether another is wanted after it.
    looking: Option<BoxFuture<'static, Looked>>,
    look_again: bool,
}

/// What a look at the binding found.
type Looked = Result<Option<BindingState>, StoreError>;

impl Live<'_> {
    async fn run(
        mut self,
        line: &mut Line,
        mut keeper: Keeper,
        mut changes: broadcast::Receiver<InstanceId>,
    ) -> Result<std::convert::Infallible, Ended> {
        let pace = self.connection.gateway.pace;
        let mut tick = tokio::time::interval_at(Instant::now() + pace.renew, pace.renew);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outgoing = line.outgoing.clone();
        loop {
            let may_read = self.frames.len() < WAITING && self.stream.has_room();
            tokio::select! {
                () = self.connection.gateway.shutdown.cancelled() => return Err(Ended::Shutdown),
                () = keeper.lost() => return Err(Ended::Fenced),
                // More are not read before these are durable.
                text = line.text(), if self.asked.len() < WAITING => self.said(&text?)?,
                permit = outgoing.reserve(), if !self.frames.is_empty() => {
                    let Ok(permit) = permit else { return Err(Ended::Gone) };
                    if let Some(frame) = self.frames.pop_front() {
                        let text = serde_json::to_string(&frame).map_err(|error| Ended::Failed(error.into()))?;
                        permit.send(Message::Text(text.into()));
                    }
                }
                (n, ours) = saved(&mut self.saving) => self.saved(n, ours)?,
                event = self.source.next(&self.stream), if may_read => self.happened(event.map_err(Ended::Failed)?),
                changed = changes.recv() => match changed {
                    Ok(instance) if instance != self.session.instance => {}
                    _ => self.look_at_binding(),
                },
                looked = done(&mut self.looking) => self.looked(looked)?,
                _ = tick.tick() => {
                    line.ping(pace.silence)?;
                    self.look_at_binding();
                }
            }
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Reading(placed) => {
                let repeats = self.stream.repeats();
                if let Some(frame) = self.stream.record(placed.partition, placed.offset, &placed.reading) {
                    metrics::counter!("delivery_readings_total").increment(1);
                    self.frames.push_back(frame);
                } else if self.stream.repeats() > repeats {
                    metrics::counter!("delivery_repeats_total").increment(1);
                }
            }
            Event::Truncated(position) => {
                for (partition, end) in position {
                    tracing::warn!(instance = %self.session.instance, partition, end, "sensor.data lost its newest records");
                    self.stream.step_back(partition, end);
                }
            }
            Event::Scanned(position) => self.stream.progress(&position),
            Event::Joined(position) => {
                self.stream.progress(&position);
                if !self.caught_up {
                    self.caught_up = true;
                    self.frames.push_back(Frame::CaughtUp);
                }
            }
            Event::Gap(position) => {
                for (partition, next) in position {
                    let lost = self.stream.gap(partition, next);
                    self.frames.extend(lost);
                }
            }
            Event::End => self.frames.push_back(Frame::End),
        }
    }

    fn said(&mut self, text: &str) -> Result<(), Ended> {
        let wrong = |reason: String| Ended::Wrong(1008, reason.chars().take(100).collect());
        let checkpoint: Checkpoint<'_> = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if checkpoint.kind != "checkpoint" {
            return Err(wrong(format!(
                "`{}` is not understood, only `checkpoint`",
                checkpoint.kind
            )));
        }
        let state = checkpoint.state.map(|state| state.get().to_owned());
        if state.as_ref().is_some_and(|state| state.len() > LARGEST_STATE) {
            return Err(Ended::Wrong(1009, "the state is larger than 256 KiB".to_owned()));
        }
        let mark = self
            .stream
            .checkpoint(checkpoint.n)
            .map_err(|error| wrong(error.to_string()))?;
        self.asked.push_back(checkpoint.n);
        // A newer checkpoint covers what an older one does.
        self.next_save = Some(Save {
            n: checkpoint.n,
            mark,
            state,
        });
        self.save_next();
        Ok(())
    }

    fn save_next(&mut self) {
        if self.saving.is_some() {
            return;
        }
        let Some(save) = self.next_save.take() else { return };
        let (sessions, session) = (self.connection.gateway.sessions.clone(), self.session);
        let retry = self.connection.gateway.pace.retry;
        let work = async move {
            loop {
                let now = Timestamp::now();
                match sessions.save(session, &save.mark, save.state.as_deref(), now).await {
                    Ok(ours) => return ours,
                    Err(error) => tracing::debug!(%error, "a checkpoint waits for the store"),
                }
                tokio::time::sleep(retry).await;
            }
        };
        self.saving = Some((save.n, Box::pin(work)));
    }

    fn saved(&mut self, n: u64, ours: bool) -> Result<(), Ended> {
        self.saving = None;
        if !ours {
            return Err(Ended::Fenced);
        }
        self.stream.saved(n);
        let covered = self.asked.iter().take_while(|asked| **asked <= n).count();
        // Before readings that wait: the application waits for it.
        for n in self.asked.drain(..covered).rev() {
            self.frames.push_front(Frame::Checkpointed { n });
        }
        self.save_next();
        Ok(())
    }

    fn look_at_binding(&mut self) {
        if self.looking.is_some() {
            self.look_again = true;
            return;
        }
        let bindings = self.connection.gateway.bindings.clone();
        let id = self.session.instance.to_string();
        self.looking = Some(Box::pin(async move {
            let stored = bindings.get(&id).await?;
            Ok(stored.map(|stored| stored.entity.binding.state))
        }));
    }

    fn looked(&mut self, looked: Looked) -> Result<(), Ended> {
        self.looking = None;
        if std::mem::take(&mut self.look_again) {
            self.look_at_binding();
        }
        match looked {
            Ok(Some(BindingState::Bound { slots })) => {
                let gateway = &self.connection.gateway;
                let view = BindingView::of(&slots, &gateway.directory);
                if view != self.view {
                    self.stream.rebind(&view, &gateway.hub.ends());
                    self.source.rebind(&self.stream);
                    self.view = view.clone();
                    self.frames.push_back(Frame::Binding { binding: view });
                }
                Ok(())
            }
            Ok(Some(BindingState::Unsatisfied { .. })) => Ok(()),
            Ok(Some(BindingState::Released) | None) => Err(Ended::Fenced),
            Err(error) => {
                tracing::debug!(%error, "a binding waits for the store");
                Ok(())
            }
        }
    }
}

/// Resolves when the work is done; never when there is none.
async fn done<T>(work: &mut Option<BoxFuture<'static, T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Resolves when the checkpoint that is being written is; never when there is none.
async fn saved(saving: &mut Option<(u64, BoxFuture<'static, bool>)>) -> (u64, bool) {
    match saving {
        Some((n, work)) => (*n, work.await),
        None => std::future::pending().await,
    }
}

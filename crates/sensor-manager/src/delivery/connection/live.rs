//! An opened session: readings out, checkpoints in, a binding that changes.

use std::collections::VecDeque;

use axum::extract::ws::Message;
use common::messages::binding::BindingState;
use common::{InstanceId, Timestamp};
use futures_util::future::BoxFuture;
use runtime::StoreError;
use tokio::sync::broadcast;
use tokio::time::{Instant, MissedTickBehavior};

use super::keeper::Keeper;
use super::line::Line;
use super::{Connection, Ended, LARGEST_STATE, WAITING};
use crate::delivery::frames::{BindingView, Checkpoint, Frame};
use crate::delivery::source::{Event, Source};
use crate::delivery::store::Session;
use crate::delivery::stream::{Mark, Stream};

/// A checkpoint on its way to the store.
#[derive(Debug)]
struct Save {
    n: u64,
    mark: Mark,
    state: Option<String>,
}

/// An opened session.
pub(super) struct Live<'a> {
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

impl<'a> Live<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        session: Session,
        stream: Stream,
        source: Source,
        view: BindingView,
    ) -> Self {
        Self {
            connection,
            session,
            stream,
            source,
            view,
            frames: VecDeque::new(),
            saving: None,
            next_save: None,
            asked: VecDeque::new(),
            caught_up: false,
            looking: None,
            look_again: false,
        }
    }

    /// Goes on until the connection ends.
    pub(super) async fn run(
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

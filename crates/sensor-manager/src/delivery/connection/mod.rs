//! One WebSocket of an application, from its wish for the session to its end.

mod keeper;
mod line;
mod live;

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use common::messages::binding::{BindingState, SessionEvent};
use common::{Message as _, MessageId, Timestamp};
use futures_util::StreamExt;
use runtime::ApplyError;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::keeper::Keeper;
use self::line::{Line, write};
use self::live::Live;
use super::Position;
use super::carry::Lineage;
use super::frames::{BindingView, Frame};
use super::gateway::Gateway;
use super::lease::Wish;
use super::source::Source;
use super::store::{Checkpoint as Stored, Session};
use super::stream::Stream;

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
            let (slots, start, lineage) = self.binding().await?;
            let start = match self.from {
                Some(from) => self.until_ok("offsets", || self.gateway.log.at_time(from)).await,
                None => start,
            };
            let target = match self.until_now {
                true => Some(self.until_ok("end offsets", || self.gateway.log.ends()).await),
                false => None,
            };
            let stored = self.open(session, &start, lineage).await?;
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
            carried: stored.carried,
            binding: view.clone(),
        })
        .await;
        tracing::info!(instance = %session.instance, session = session.number, replica = self.wish.replica, "session opened");
        let stream = Stream::new(stored.mark(), &view);
        let source = Source::new(self.gateway.log.clone(), self.gateway.hub.clone(), target);
        let live = Live::new(self, session, stream, source, view);
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

    /// Returns what is bound, where its readings begin and what it may begin with.
    async fn binding(&self) -> Result<(BindingView, Position, Option<Lineage>), Ended> {
        let id = self.wish.instance.to_string();
        let stored = self.until_ok("binding", || self.gateway.bindings.get(&id)).await;
        let Some(record) = stored.map(|stored| stored.entity) else {
            return Err(Ended::Failed(anyhow::anyhow!("the instance is not bound")));
        };
        match record.binding.state {
            BindingState::Bound { slots } => {
                let view = BindingView::of(&slots, &self.gateway.directory);
                Ok((view, record.start, record.lineage))
            }
            BindingState::Released => Err(Ended::Fenced),
            BindingState::Unsatisfied { .. } => Err(Ended::Failed(anyhow::anyhow!("the instance is not bound"))),
        }
    }

    async fn open(&self, session: Session, start: &Position, lineage: Option<Lineage>) -> Result<Stored, Ended> {
        loop {
            match self.gateway.sessions.open(session, start, lineage).await {
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

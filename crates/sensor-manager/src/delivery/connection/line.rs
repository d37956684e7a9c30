//! The socket, as the rest of a connection sees it: frames out, texts in, signs of life.

use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Ended;
use crate::delivery::frames::Frame;
use crate::delivery::gateway::Gateway;

/// The two ends of the socket.
pub(super) struct Line {
    pub(super) incoming: SplitStream<WebSocket>,
    pub(super) outgoing: mpsc::Sender<Message>,
    pub(super) heard: Instant,
}

impl Line {
    pub(super) async fn send(&self, frame: &Frame) {
        match serde_json::to_string(frame) {
            // A closed line is noticed where it is read.
            Ok(text) => drop(self.outgoing.send(Message::Text(text.into())).await),
            Err(error) => tracing::error!(%error, "a frame can not be written"),
        }
    }

    /// Returns the next text; notes every sign of life.
    pub(super) async fn text(&mut self) -> Result<Utf8Bytes, Ended> {
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
    pub(super) fn ping(&self, silence: Duration) -> Result<(), Ended> {
        if self.heard.elapsed() > silence {
            return Err(Ended::Gone);
        }
        // When the queue is full, what waits in it serves as well.
        drop(self.outgoing.try_send(Message::Ping(axum::body::Bytes::new())));
        Ok(())
    }

    /// Waits for the end of a connection that has nothing to say yet.
    pub(super) async fn idle(&mut self, gateway: &Gateway) -> Ended {
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

pub(super) async fn write(mut sink: SplitSink<WebSocket, Message>, mut queue: mpsc::Receiver<Message>) {
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

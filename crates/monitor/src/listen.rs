//! The ears: two topics onto the board.

use std::sync::Arc;

use common::messages::health::{Heartbeat, NodeEvent};
use runtime::TailItem;
use runtime::kafka::Tail;

use crate::board::Board;

/// Puts every heartbeat on the board.
///
/// # Errors
/// When the tail fails for good.
pub async fn heartbeats(mut tail: Tail<Heartbeat>, board: Arc<Board>) -> anyhow::Result<()> {
    loop {
        if let TailItem::Message(placed) = tail.next().await? {
            board.hear(&placed.envelope.message);
        }
    }
}

/// Puts every report of a host on the board.
///
/// # Errors
/// When the tail fails for good.
pub async fn nodes(mut tail: Tail<NodeEvent>, board: Arc<Board>) -> anyhow::Result<()> {
    loop {
        if let TailItem::Message(placed) = tail.next().await? {
            let NodeEvent::Reported { node } = &placed.envelope.message;
            board.report(node);
        }
    }
}

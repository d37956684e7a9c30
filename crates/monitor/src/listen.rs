//! The ears and eyes: two topics, and what is looked at, onto the board.

use std::sync::Arc;
use std::time::Duration;

use common::Timestamp;
use common::messages::health::{Heartbeat, NodeEvent};
use runtime::kafka::Tail;
use runtime::{Context, TailItem};
use tokio::time::Instant;

use crate::board::Board;
use crate::components;

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
            board.report(node, Timestamp::now());
        }
    }
}

/// Time between two looks at Kafka and MongoDB, and the longest that one may take.
const LOOK: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks at Kafka, which should have so many brokers, and at MongoDB.
///
/// # Errors
/// Never.
pub async fn looks(context: Context, brokers: usize, board: Arc<Board>) -> anyhow::Result<()> {
    let mut interval = tokio::time::interval(LOOK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let found = context
            .brokers()
            .await
            .map_err(|_| "no broker says anything".to_owned());
        board.look_at_kafka(components::kafka(found, brokers));
        let began = Instant::now();
        let found = match tokio::time::timeout(PATIENCE, context.mongo.ping()).await {
            Ok(Ok(())) => Ok(began.elapsed()),
            Ok(Err(_)) => Err("it refuses".to_owned()),
            Err(_) => Err("it says nothing".to_owned()),
        };
        board.look_at_mongodb(components::mongodb(found));
    }
}

//! Decides who is up, suspected, down, and says so within ten seconds.
//!
//! # Role
//! Listens to the heartbeats of every process of the platform (one each 2 s) and to the reports of application hosts, judges each
//! copy of a service twice a second ([`liveness::judge`]) and publishes each change of a verdict with its cause in words.
//!
//! # Consumes
//! `service.heartbeats` and `node.events`, without a group and from the end: only what is heard now counts.
//!
//! # Produces
//! `service.events`.
//!
//! # Owns
//! `monitor_services`: the newest verdict on each copy that was ever seen, so that one that does not come back while the monitor
//! itself restarts is still missed.
//!
//! # Invariants
//! - Silence counts only while the monitor can hear: its own heartbeat comes the same way as everyone's. While that is late (Kafka
//!   is away, the monitor was stopped) nobody is judged, and afterwards everyone gets the full time again.
//! - Time is monotonic and taken at the receipt: clocks of hosts do not matter.
//! - One copy of the monitor judges; the others listen, and take over within 8 s ([`runtime::duty`]).
//! - Only changes are published. A verdict that says the same is not written.

pub mod board;
pub mod listen;
pub mod liveness;
pub mod store;
pub mod verdicts;

use std::sync::Arc;

use common::messages::health::{Heartbeat, NodeEvent, ServiceCopy};
use runtime::{Context, TailFrom};

use crate::board::Board;
use crate::store::Judged;
use crate::verdicts::Verdicts;

/// Assembles the service.
///
/// # Errors
/// When it is shut down before Kafka answers.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let me = ServiceCopy {
        service: context.service,
        host: context.settings.host.clone(),
    };
    let board = Arc::new(Board::new(me));
    let heartbeats = context.tail::<Heartbeat>(TailFrom::End).await?;
    let nodes = context.tail::<NodeEvent>(TailFrom::End).await?;
    context.spawn_until_shutdown("heartbeats of all", listen::heartbeats(heartbeats, board.clone()));
    context.spawn_until_shutdown("reports of hosts", listen::nodes(nodes, board.clone()));
    let verdicts = Verdicts::new(context.entities::<Judged>(), context.bus.clone(), board);
    let judging = verdicts::run(verdicts, context.duty("verdicts"), context.health.part("hearing"));
    context.spawn_until_shutdown("verdicts", judging);
    Ok(())
}

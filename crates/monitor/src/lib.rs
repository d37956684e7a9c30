//! Decides who is up, suspected, down, says so within ten seconds, and tells admins of trouble that lasts.
//!
//! # Role
//! Listens to the heartbeats of every process of the platform (one each 2 s) and to the reports of application hosts, judges each
//! copy of a service twice a second ([`liveness::judge`]), every host, Kafka and MongoDB ([`components`]), and publishes each change of a
//! verdict with its cause in words. Trouble that lasts is told to admins once, and once more when it is over ([`alert`]).
//!
//! # Consumes
//! `service.heartbeats` and `node.events`, without a group and from the end: only what is heard now counts.
//!
//! # Produces
//! `service.events`, `action.requests` (alerts). On many hosts it has others start services of a host that is lost ([`recovery`]).
//!
//! # Owns
//! `monitor_services`: the newest verdict on each copy that was ever seen, so that one that does not come back while the monitor
//! itself restarts is still missed; with whether its trouble was told. `monitor_components`: the same for hosts, Kafka and MongoDB.
//! What was on a host that has left the configuration is forgotten.
//! `monitor_recoveries`: services that run in the place of those of lost hosts.
//!
//! # Invariants
//! - Silence counts only while the monitor can hear: its own heartbeat comes the same way as everyone's. While that is late (Kafka
//!   is away, the monitor was stopped) nobody is judged, and afterwards everyone gets the full time again.
//! - Time is monotonic and taken at the receipt: clocks of hosts do not matter.
//! - One copy of the monitor judges; the others listen, and take over within 8 s ([`runtime::duty`]).
//! - Only changes are published. A verdict that says the same is not written.

pub mod alert;
pub mod board;
pub mod components;
pub mod listen;
pub mod liveness;
pub mod recovery;
pub mod store;
pub mod verdicts;

use std::sync::Arc;

use common::messages::health::{Heartbeat, NodeEvent, ServiceCopy};
use runtime::{Context, TailFrom};

use crate::board::Board;
use crate::recovery::Recoveries;
use crate::store::{Judged, Watched};
use crate::verdicts::Verdicts;

/// Secret with the key that `hostctl` of every host lets in.
const KEY: &str = "hostctl.key";

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
    let brokers = usize::try_from(context.settings.kafka.replication).unwrap_or(1);
    context.spawn_until_shutdown("looks", listen::looks(context.clone(), brokers, board.clone()));
    let (services, components) = (context.entities::<Judged>(), context.entities::<Watched>());
    let mut verdicts = Verdicts::new(services, components, context.bus.clone(), board);
    let duty = context.duty("verdicts");
    if let Some(settings) = context.settings.recovery.clone() {
        let hosts = settings.hosts.iter();
        verdicts = verdicts.of_hosts(hosts.map(|host| (host.name.clone(), host.services.iter().copied().collect())));
        let key = context.settings.secrets_dir.join(KEY);
        let recoveries = Recoveries::new(settings, key, context.entities(), context.bus.clone());
        let acting = recoveries.run(duty.clone(), verdicts.snapshots());
        context.spawn_until_shutdown("recoveries", acting);
    }
    let judging = verdicts::run(verdicts, duty, context.health.part("hearing"));
    context.spawn_until_shutdown("verdicts", judging);
    Ok(())
}

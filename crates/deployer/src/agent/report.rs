//! How this host is → `node.events`, every 5 seconds.

use std::time::Duration;

use common::messages::health::{Node, NodeEvent};
use common::{MessageId, Timestamp};
use runtime::Context;

use crate::docker::Engine;
use crate::docker::containers::{EngineFacts, Phase};

const INTERVAL: Duration = Duration::from_secs(5);
/// Time that the Engine has for an answer: one that hangs must not keep the host from being heard.
const ANSWERS: Duration = Duration::from_secs(3);

/// Reports until the agent ends.
pub(crate) async fn report(context: Context, engine: Engine) -> anyhow::Result<()> {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known = EngineFacts {
        host: context.settings.host.clone(),
        ..EngineFacts::default()
    };
    loop {
        interval.tick().await;
        // Name and address stay when the Engine is away; that it is away is told by its missing version.
        match tokio::time::timeout(ANSWERS, engine.facts()).await {
            Ok(Ok(facts)) => known = facts,
            Ok(Err(_)) | Err(_) => known.version = String::new(),
        }
        let containers = tokio::time::timeout(ANSWERS, engine.containers()).await;
        let containers = containers
            .unwrap_or_else(|_| Ok(Vec::new()))
            .unwrap_or_default()
            .iter()
            .filter(|container| container.phase == Phase::Running)
            .count();
        let event = NodeEvent::Reported {
            node: node(&context, &known, containers),
        };
        match tokio::time::timeout(INTERVAL, context.bus.publish_first(MessageId::new(), event)).await {
            Ok(Ok(())) => {}
            // The next report says more.
            Ok(Err(error)) => tracing::debug!(%error, "a report was lost"),
            Err(_) => tracing::debug!("a report was not confirmed in time"),
        }
    }
}

fn node(context: &Context, engine: &EngineFacts, containers: usize) -> Node {
    let (memory_total_bytes, memory_available_bytes) =
        memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default());
    let disk = rustix::fs::statvfs(&context.settings.data_dir).ok();
    let (disk_total_bytes, disk_free_bytes) = disk.map_or((0, 0), |disk| {
        (disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize)
    });
    let address = if engine.address.is_empty() {
        &context.settings.public_address
    } else {
        &engine.address
    };
    Node {
        name: engine.host.clone(),
        host: context.settings.host.clone(),
        address: address.clone(),
        engine_version: engine.version.clone(),
        cpus: engine.cpus,
        load: load(&std::fs::read_to_string("/proc/loadavg").unwrap_or_default()),
        memory_total_bytes,
        memory_available_bytes,
        disk_total_bytes,
        disk_free_bytes,
        containers: u32::try_from(containers).unwrap_or(u32::MAX),
        at: Timestamp::now(),
    }
}

/// Total and available memory in bytes, of the text of `/proc/meminfo`.
fn memory(text: &str) -> (u64, u64) {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':')
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    };
    let bytes = |name| field(name).unwrap_or_default() * 1024;
    (bytes("MemTotal"), bytes("MemAvailable"))
}

/// Load over the last minute, of the text of `/proc/loadavg`.
fn load(text: &str) -> f64 {
    text.split_whitespace()
        .next()
        .and_then(|load| load.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_the_kernel_are_read() {
        assert_eq!(
            memory("MemTotal:  10 kB\nMemFree: 1 kB\nMemAvailable:    4 kB\n"),
            (10_240, 4096)
        );
        assert_eq!(memory(""), (0, 0));
        assert!((load("0.52 0.4 0.1 1/2 3") - 0.52).abs() < f64::EPSILON);
    }
}

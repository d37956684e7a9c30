//! Signs of life on `service.heartbeats`, every 2 seconds.

use std::sync::Arc;
use std::time::Duration;

use common::messages::health::{Heartbeat, ServiceCopy};
use common::{MessageId, Timestamp};

use crate::Bus;
use crate::health::{Health, dead_letters};
use crate::kafka::KafkaConfig;

/// Interval of heartbeats.
const INTERVAL: Duration = Duration::from_secs(2);

/// Beats until the process ends.
pub(crate) async fn beat(bus: Bus, copy: ServiceCopy, health: Health, kafka: Arc<KafkaConfig>) -> anyhow::Result<()> {
    let started = Timestamp::now();
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let (waiting_for, rss_bytes, lag) = (health.waiting_for(), rss_bytes(), kafka.lag());
        #[expect(clippy::cast_precision_loss, reason = "a gauge need not be exact to the byte")]
        {
            metrics::gauge!("process_resident_memory_bytes").set(rss_bytes as f64);
            metrics::gauge!("bus_lag").set(lag as f64);
        }
        let beat = Heartbeat::Beat {
            copy: copy.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started,
            ready: waiting_for.is_empty(),
            waiting_for,
            rss_bytes,
            dead_letters: dead_letters(),
            lag,
            at: Timestamp::now(),
        };
        // A beat that Kafka does not take is late anyway; the next one says more.
        match tokio::time::timeout(INTERVAL, bus.publish_first(MessageId::new(), beat)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a heartbeat was lost"),
            Err(_) => tracing::debug!("a heartbeat was not confirmed in time"),
        }
    }
}

/// Says that the process ends on purpose.
pub(crate) async fn farewell(bus: &Bus, copy: ServiceCopy) {
    let farewell = Heartbeat::Farewell {
        copy,
        at: Timestamp::now(),
    };
    if !matches!(
        tokio::time::timeout(INTERVAL, bus.publish_first(MessageId::new(), farewell)).await,
        Ok(Ok(()))
    ) {
        tracing::debug!("the farewell was lost");
    }
}

/// Returns this process's resident memory (field 2 of `/proc/self/statm`, pages of 4 KiB).
fn rss_bytes() -> u64 {
    std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(0, |pages| pages * 4096)
}

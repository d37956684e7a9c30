//! A sensor's task: produces readings at its pace and hands them to its connector.

use std::sync::Arc;
use std::time::Duration;

use common::time::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::SensorConfig;
use crate::generator::Generator;
use crate::reading::Reading;
use crate::stats::{Counters, add};

/// A sensor ready to run.
#[derive(Debug)]
pub(crate) struct Sensor {
    pub(crate) config: SensorConfig,
    pub(crate) generator: Generator,
    pub(crate) boot: u64,
    pub(crate) count: Option<u64>,
    pub(crate) counters: Arc<Counters>,
}

impl Sensor {
    /// Produces until its count, the end of its replay, or until nobody listens.
    pub(crate) async fn run(mut self, out: mpsc::Sender<Reading>) {
        let mut due = Instant::now() + self.generator.offset();
        let mut time = Timestamp::from_millis(0);
        for seq in 0..self.count.unwrap_or(u64::MAX) {
            let Some(sample) = self.generator.next_sample() else {
                return;
            };
            tokio::time::sleep_until(due).await;
            // The wall clock may be set back; a sensor's own order must not show it.
            time = time.max(Timestamp::now());
            let Ok(permit) = out.reserve().await else { return };
            add(&self.counters.generated, 1);
            permit.send(Reading {
                sensor: self.config.id,
                property: self.config.property.clone(),
                boot: self.boot,
                seq,
                time,
                value: sample.value,
            });
            due += sample.pause;
            // After a long wait for room the lost time is not made up for in one burst.
            let now = Instant::now();
            if now.saturating_duration_since(due) > Duration::from_secs(1) {
                due = now;
            }
        }
    }
}

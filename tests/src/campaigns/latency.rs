//! Sensor → application at 500 readings a second, beside Kafka's own produce → consume in the same run.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use common::messages::operation::OperationEvent;
use common::{MessageId, OperationId};
use runtime::kafka::{KafkaConfig, KafkaPublisher, tail};
use runtime::{Bus, TailFrom, TailItem};
use serde_json::{Value, json};

use super::quantile;
use crate::client::member;
use crate::scenarios::{checkpoint, instance_is};
use crate::site::{Plan, Site, id};
use crate::stack::Stack;
use crate::wait::until;

/// Readings of one round: 5 sensors, 100 a second each.
const READINGS: u64 = 10_000;

/// The application that measures: how late each reading is, in tenths of a millisecond.
const PROBE: &str = r#"
import time
from datetime import datetime
from iot_sdk import Application

app = Application()


@app.on_reading("temperature")
def handle(reading, context):
    late = time.time() - datetime.fromisoformat(str(reading.time).replace("Z", "+00:00")).timestamp()
    bucket = str(min(max(round(late * 1e4), 0), 99999))
    histogram = context.state.setdefault("histogram", {})
    histogram[bucket] = histogram.get(bucket, 0) + 1
    context.state["count"] = context.state.get("count", 0) + 1


app.run()
"#;

/// Measures in rounds and returns the table.
pub(super) async fn run(stack: &Stack, rounds: u32) -> Result<String> {
    let mut text = format!(
        "{READINGS} readings at 500/s over MQTT QoS 1: from the moment a reading is made until the handler of a Python application in its container has it (`sensor → application`), beside `produce → consume` of 500 messages/s with acks=all by the same client library on the same broker, in the same run.\n\n| round | sensor → application p50 ms | p99 ms | produce → consume p50 ms | p99 ms | ratio p50 | ratio p99 |\n|---|---|---|---|---|---|---|\n"
    );
    let developer = member(stack.admin(), "latency-user", &["developer", "end_user"]).await?;
    developer.upload(probe()?).await?;
    for round in 1..=rounds {
        let peer = kafka(stack).await?;
        let ours = application(stack, &developer, round).await?;
        let figures = [
            quantile(&ours, 0.5),
            quantile(&ours, 0.99),
            quantile(&peer, 0.5),
            quantile(&peer, 0.99),
        ];
        writeln!(
            text,
            "| {round} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            figures[0],
            figures[1],
            figures[2],
            figures[3],
            figures[0] / figures[2],
            figures[1] / figures[3]
        )?;
    }
    Ok(text)
}

fn name() -> String {
    format!("latency-probe-{}", crate::client::mark())
}

fn probe() -> Result<Vec<u8>> {
    let manifest = json!({
        "manifest": 1, "name": name(), "title": "Latency probe", "version": "1.0.0", "runtime": { "python": "3" },
        "start": ["python3", "main.py"], "slots": { "temperature": { "sensor": "temperature" } },
        "resources": { "memory_mib": 128, "cpus": 1.0 },
    });
    bootstrap::demo::bundle::of_files(&[("app.json", &manifest.to_string()), ("main.py", PROBE)])
}

/// Milliseconds from the sensor to the application, sorted.
async fn application(stack: &Stack, user: &crate::client::Client, round: u32) -> Result<Vec<f64>> {
    let folder = tempfile::tempdir()?;
    let plan = Plan {
        sensors: 5,
        every_ms: 10,
        count: Some(READINGS / 5),
        ..Plan::room(format!("Latency room {round}"))
    };
    let site = Site::register(stack, &plan, folder.path()).await?;
    let instance = id(&site.run_now(user, &name(), json!({})).await?)?;
    instance_is(user, &instance, "running").await?;
    let simulation = site.play().await?;
    let state = until("all readings are counted", Duration::from_secs(60), || async {
        let state = checkpoint(stack, &instance).await?;
        Ok((state["count"].as_u64() == Some(READINGS)).then_some(state))
    })
    .await?;
    simulation.stop(Duration::from_secs(10)).await?;
    user.post(&format!("/api/v1/instances/{instance}/stop"), &json!({}))
        .await?;
    samples(&state)
}

fn samples(state: &Value) -> Result<Vec<f64>> {
    let mut samples = Vec::new();
    for (bucket, count) in state["histogram"].as_object().context("a histogram")? {
        let millis = bucket.parse::<f64>()? / 10.0;
        let count = usize::try_from(count.as_u64().context("a count")?)?;
        samples.extend(std::iter::repeat_n(millis, count));
    }
    samples.sort_by(f64::total_cmp);
    Ok(samples)
}

/// Milliseconds from producing to consuming at the same rate, sorted.
async fn kafka(stack: &Stack) -> Result<Vec<f64>> {
    let config = KafkaConfig::of_admin(stack.settings(), "tests")?;
    let bus = Bus::new(Arc::new(KafkaPublisher::new(config.clone())?), "tests");
    let mut tail = tail::<OperationEvent>(config, TailFrom::End).await?;
    let began = Instant::now();
    let sender = tokio::spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_millis(2));
        let mut deliveries = tokio::task::JoinSet::new();
        for _ in 0..READINGS / 2 {
            interval.tick().await;
            let sent = u64::try_from(began.elapsed().as_micros())?;
            let bus = bus.clone();
            deliveries.spawn(async move {
                let event = OperationEvent::Done {
                    id: OperationId::new(),
                    version: Some(sent),
                };
                bus.publish_first(MessageId::new(), event).await
            });
        }
        while let Some(delivery) = deliveries.join_next().await {
            delivery??;
        }
        anyhow::Ok(())
    });
    let mut samples = Vec::new();
    while (samples.len() as u64) < READINGS / 2 {
        if let TailItem::Message(placed) = tail.next().await?
            && placed.envelope.source == "tests"
            && let OperationEvent::Done {
                version: Some(sent), ..
            } = placed.envelope.message
        {
            let now = u64::try_from(began.elapsed().as_micros())?;
            #[expect(clippy::cast_precision_loss, reason = "microseconds of a short run")]
            samples.push(now.saturating_sub(sent) as f64 / 1000.0);
        }
    }
    sender.await??;
    samples.sort_by(f64::total_cmp);
    Ok(samples)
}

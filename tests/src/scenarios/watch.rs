//! What the platform notices about itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use common::Topic;
use runtime::kafka::{KafkaConfig, KafkaPublisher};
use runtime::{Bus, Record};
use serde_json::Value;

use crate::faults;
use crate::stack::Stack;
use crate::wait::until;

async fn service(stack: &Stack, name: &str) -> Result<Value> {
    let health = stack.admin().get("/api/v1/health").await?;
    let services = health["services"].as_array().context("services")?;
    let found = services.iter().find(|service| service["service"] == name);
    found.cloned().with_context(|| format!("no {name} in {health}"))
}

/// A service that hangs is told of within ten seconds, and again when it is back.
pub(super) async fn hung(stack: &Stack) -> Result<()> {
    let name = "action-manager";
    let pid = stack.pid(name).await?;
    faults::signal(pid, "STOP")?;
    let began = Instant::now();
    let told = until("it is known to be down", Duration::from_secs(10), || async {
        let service = service(stack, name).await?;
        ensure!(service["state"] == "down", "{service}");
        Ok(Some(began.elapsed()))
    })
    .await;
    faults::signal(pid, "CONT")?;
    crate::say(&format!("    told after {:.1} s", told?.as_secs_f64()));
    until("it is known to be up", Duration::from_secs(30), || async {
        let service = service(stack, name).await?;
        Ok((service["state"] == "up").then_some(()))
    })
    .await?;
    stack.healthy(Duration::from_secs(30)).await
}

/// A message that can never work goes to the dead-letter topic, is counted, and holds up nothing behind it.
pub(super) async fn malformed(stack: &Stack) -> Result<()> {
    let dead = || async {
        let health = stack.admin().get("/api/v1/health").await?;
        health["dead_letters"].as_u64().context("a count")
    };
    let before = dead().await?;
    let bus = Bus::new(
        Arc::new(KafkaPublisher::new(KafkaConfig::of_admin(stack.settings(), "tests")?)?),
        "tests",
    );
    let record = |payload: &str| Record {
        topic: Topic::RegistryCommands.name().to_owned(),
        key: "malformed".to_owned(),
        payload: Some(payload.to_owned()),
        headers: Vec::new(),
    };
    bus.send(&[record("no json"), record(r#"{"type":"put","entry":17}"#), record("")])
        .await?;
    until("three more are counted", Duration::from_secs(20), || async {
        Ok((dead().await? >= before + 3).then_some(()))
    })
    .await?;
    // Whatever follows on any partition is still worked off.
    for number in 0..12 {
        let name = format!("After the malformed {number} {}", crate::client::mark());
        stack
            .admin()
            .post(
                "/api/v1/locations",
                &serde_json::json!({ "name": name, "kind": "room" }),
            )
            .await?;
    }
    Ok(())
}

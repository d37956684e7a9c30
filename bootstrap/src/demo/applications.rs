//! Sample applications: uploaded, and scheduled.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::building::Building;
use super::bundle;
use super::plan::{self, Run};
use crate::api::Client;

/// Whether every sample application is uploaded and scheduled.
pub(super) async fn present(api: &Client, examples: &Path) -> Result<bool> {
    let schedules = api.list("/api/v1/schedules").await?;
    for run in plan::runs() {
        let so = has_version(api, &run, &version(examples, &run)?).await? && is_scheduled(&schedules, &run);
        if !so {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Uploads and schedules what is not yet there.
pub(super) async fn make(api: &Client, building: &Building, examples: &Path) -> Result<()> {
    let schedules = api.list("/api/v1/schedules").await?;
    for run in plan::runs() {
        if !has_version(api, &run, &version(examples, &run)?).await? {
            api.upload(bundle::of_folder(&examples.join(run.example), |_, text| text)?)
                .await
                .with_context(|| format!("could not upload {}", run.example))?;
        }
        if is_scheduled(&schedules, &run) {
            continue;
        }
        let location = building
            .places
            .get(run.place)
            .with_context(|| format!("`{}` is not registered", run.place))?;
        let body = json!({
            "name": run.name, "application": run.example, "location": location,
            "parameters": run.parameters, "when": run.when,
        });
        api.post("/api/v1/schedules", &body)
            .await
            .with_context(|| format!("could not schedule {}", run.example))?;
    }
    Ok(())
}

fn is_scheduled(schedules: &[Value], run: &Run) -> bool {
    schedules.iter().any(|schedule| schedule["name"] == run.name)
}

async fn has_version(api: &Client, run: &Run, number: &str) -> Result<bool> {
    let application = api.find(&format!("/api/v1/applications/{}", run.example)).await?;
    let ready = |version: &Value| version["number"] == number && version["state"] == "ready";
    Ok(application.is_some_and(|application| {
        let versions = application["versions"].as_array();
        versions.into_iter().flatten().any(ready)
    }))
}

/// The number in the example's manifest.
fn version(examples: &Path, run: &Run) -> Result<String> {
    let path = examples.join(run.example).join("app.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let manifest: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    let number = manifest["version"].as_str().context("the manifest has a version")?;
    Ok(number.to_owned())
}

/// Whether a device has acknowledged that it was switched on.
pub(super) async fn switched_on(api: &Client, device: &str) -> Result<bool> {
    let commands = api.get(&format!("/api/v1/devices/{device}/commands?limit=50")).await?;
    let on =
        |command: &Value| command["arguments"]["on"] == true && command["state"].to_string().contains("acknowledged");
    Ok(commands["items"].as_array().into_iter().flatten().any(on))
}

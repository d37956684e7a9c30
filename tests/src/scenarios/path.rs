//! The main job: from a zip to live sensor data and back to a device.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::client::{Client, member};
use crate::faults;
use crate::site::{Plan, Site, bundle, id};
use crate::stack::Stack;
use crate::wait::until;

const SOON: Duration = Duration::from_secs(60);

/// Waits until an instance is in a state.
///
/// # Errors
/// When it ends in another, or the deadline passes.
pub async fn instance_is(user: &Client, instance: &str, state: &str) -> Result<Value> {
    until(&format!("the instance is {state}"), SOON, || async {
        let now = user.get(&format!("/api/v1/instances/{instance}")).await?;
        let over = ["succeeded", "failed", "stopped"].contains(&now["state"].as_str().unwrap_or_default());
        ensure!(now["state"] == state || !over, "it is {now}");
        anyhow::Ok((now["state"] == state).then_some(now))
    })
    .await
}

/// Upload → build → schedule → binding → readings over MQTT and HTTP → page, notification, command → device → stop.
pub(super) async fn from_zip_to_device(stack: &Stack) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let developer = member(stack.admin(), "dora", &["developer"]).await?;
    let user = member(stack.admin(), "emil", &["end_user"]).await?;
    let name = format!("comfort-{}", crate::client::mark());
    let application = developer.upload(bundle("room-comfort", &name)?).await?;
    let plan = Plan {
        sensors: 2,
        every_ms: 50,
        ..Plan::room("Path room")
    };
    let site = Site::register(stack, &plan, folder.path()).await?;

    let instance = site
        .run_now(&user, &name, json!({ "target": 21, "threshold": 18 }))
        .await?;
    let instance = id(&instance)?;
    let waiting = instance_is(&user, &instance, "waiting").await?;
    ensure!(
        waiting.to_string().contains("fan"),
        "it says what is missing: {waiting}"
    );

    let plan = Plan::room("Path bridge");
    let bridge = Site::register(stack, &plan, folder.path()).await?;
    let fan = stack
        .admin()
        .post(
            "/api/v1/devices",
            &json!({ "name": "Late fan", "type": "fan", "location": site.location, "connector": bridge.connector.0 }),
        )
        .await?;
    let bridge = bridge.with_fan(&id(&fan)?)?;
    let simulation = site.play().await?;
    let devices = bridge.play().await?;

    instance_is(&user, &instance, "running").await?;
    until("a notification", SOON, || async {
        let notifications = user
            .list(&format!("/api/v1/instances/{instance}/notifications"))
            .await?;
        Ok((!notifications.is_empty()).then_some(()))
    })
    .await?;
    until("a command that the fan acknowledged", SOON, || async {
        let commands = user.list(&format!("/api/v1/instances/{instance}/commands")).await?;
        Ok(commands
            .iter()
            .any(|command| command["state"] == "acknowledged")
            .then_some(()))
    })
    .await?;
    let page = user.get(&format!("/api/v1/instances/{instance}/page")).await?;
    let address = page["url"].as_str().context("an address")?.to_owned();
    until("the page", SOON, || async {
        let (status, body) = user.fetch(&address).await?;
        ensure!(status.is_success(), "{status} {body}");
        Ok(body.contains("<html").then_some(()))
    })
    .await?;
    until("the log", SOON, || async {
        let lines = user.list(&format!("/api/v1/instances/{instance}/logs")).await?;
        Ok((!lines.is_empty()).then_some(()))
    })
    .await?;
    let others = member(stack.admin(), "olga", &["end_user"]).await?;
    let answer = others
        .send(reqwest::Method::GET, &format!("/api/v1/instances/{instance}"), None)
        .await?;
    ensure!(
        answer.status == 404,
        "another user's instance answers {}",
        answer.status
    );

    user.post(&format!("/api/v1/instances/{instance}/stop"), &json!({}))
        .await?;
    instance_is(&user, &instance, "stopped").await?;
    simulation.stop(SOON).await?;
    devices.stop(SOON).await?;
    ensure!(application["name"] == name.as_str());
    Ok(())
}

/// Run-to-completion instances end succeeded or failed, with their exit code.
pub(super) async fn tasks(stack: &Stack) -> Result<()> {
    let developer = member(stack.admin(), "tara", &["developer", "end_user"]).await?;
    let folder = tempfile::tempdir()?;
    let plan = Plan::room("Task room");
    let site = Site::register(stack, &plan, folder.path()).await?;
    for (name, code, state) in [("ends-well", 0, "succeeded"), ("ends-badly", 3, "failed")] {
        let name = &format!("{name}-{}", crate::client::mark());
        developer
            .upload(task(
                name,
                &format!("import sys\nprint('working')\nsys.exit({code})\n"),
            )?)
            .await?;
        let instance = site.run_now(&developer, name, json!({})).await?;
        let ended = instance_is(&developer, &id(&instance)?, state).await?;
        ensure!(
            code == 0 || ended["exit_code"] == code,
            "the exit code is told: {ended}"
        );
        nothing_left(&id(&instance)?).await?;
    }
    Ok(())
}

/// A run to completion that is over leaves neither container nor secret.
async fn nothing_left(instance: &str) -> Result<()> {
    let label = format!("label=platform.instance={instance}");
    until("nothing of it is left", Duration::from_secs(30), || async {
        for list in [&["ps", "--all"], &["service", "ls"], &["secret", "ls"]] {
            let left = faults::docker(&[list.as_slice(), &["--quiet", "--filter", &label]].concat())?;
            if !left.is_empty() {
                return Ok(None);
            }
        }
        anyhow::Ok(Some(()))
    })
    .await
}

/// Zips a task of one file.
pub(crate) fn task(name: &str, program: &str) -> Result<Vec<u8>> {
    let manifest = json!({
        "manifest": 1, "name": name, "title": name, "version": "1.0.0", "runtime": { "python": "3" },
        "start": ["python3", "main.py"], "kind": "task",
    });
    bootstrap::demo::bundle::of_files(&[("app.json", &manifest.to_string()), ("main.py", program)])
}

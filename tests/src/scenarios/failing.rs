//! Applications that do not work: the platform says why, and does not burn its hosts for them.

use std::time::Duration;

use anyhow::{Result, ensure};
use bootstrap::demo::bundle::of_files;
use serde_json::json;

use super::path::instance_is;
use crate::client::{mark, member};
use crate::site::{Plan, Site, id};
use crate::stack::Stack;
use crate::wait::until;

/// An image that can not be built: the version has failed, and the log names the reason.
pub(super) async fn build(stack: &Stack) -> Result<()> {
    let developer = member(stack.admin(), "berta", &["developer"]).await?;
    let name = format!("unbuildable-{}", mark());
    let manifest = json!({
        "manifest": 1, "name": name, "title": name, "version": "1.0.0", "runtime": { "python": "3" },
        "start": ["python3", "main.py"], "kind": "task",
    });
    let wanted = "no-such-package-of-the-platforms-tests";
    let zip = of_files(&[
        ("app.json", &manifest.to_string()),
        ("main.py", "print()\n"),
        ("requirements.txt", &format!("{wanted}==1.0\n")),
    ])?;
    let answer = developer.upload_only(zip).await?;
    ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
    let path = format!("/api/v1/applications/{name}/versions/1.0.0");
    until("the version has failed", Duration::from_secs(120), || async {
        let version = developer.get(&path).await?;
        Ok((version["state"] == "failed").then_some(()))
    })
    .await?;
    until("the log names the package", Duration::from_secs(20), || async {
        let log = developer.list(&format!("{path}/log")).await?;
        Ok(log.iter().any(|line| line.to_string().contains(wanted)).then_some(()))
    })
    .await
}

/// A service that ends at once: it is failing, with its exit code and the moment of the next try, and can be stopped.
pub(super) async fn crash_loop(stack: &Stack) -> Result<()> {
    let developer = member(stack.admin(), "kurt", &["developer", "end_user"]).await?;
    let folder = tempfile::tempdir()?;
    let plan = Plan::room("Crashing room");
    let site = Site::register(stack, &plan, folder.path()).await?;
    let name = format!("crashes-{}", mark());
    let manifest = json!({
        "manifest": 1, "name": name, "title": name, "version": "1.0.0", "runtime": { "python": "3" },
        "start": ["python3", "main.py"], "kind": "service",
    });
    let program = "import sys\nprint('about to crash')\nsys.exit(9)\n";
    developer
        .upload(of_files(&[("app.json", &manifest.to_string()), ("main.py", program)])?)
        .await?;
    let instance = id(&site.run_now(&developer, &name, json!({})).await?)?;
    let failing = instance_is(&developer, &instance, "failing").await?;
    ensure!(failing.to_string().contains('9'), "the exit code is told: {failing}");
    until("the next try is told", Duration::from_secs(60), || async {
        let now = developer.get(&format!("/api/v1/instances/{instance}")).await?;
        Ok((now["state"] == "failing" && now["next_try"].is_string()).then_some(()))
    })
    .await?;
    developer
        .post(&format!("/api/v1/instances/{instance}/stop"), &json!({}))
        .await?;
    instance_is(&developer, &instance, "stopped").await?;
    Ok(())
}

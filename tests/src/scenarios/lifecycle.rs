//! An installation goes down and comes up, by an admin's hand or by accident; what it knew it still knows.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use common::Timestamp;
use serde_json::{Value, json};

use super::hosts::built;
use super::path::instance_is;
use crate::client::{Client, member};
use crate::site::{Plan, Site, id, room_comfort};
use crate::stack::Stack;
use crate::wait::until;
use crate::{admin, faults, ledger};

/// How long an application may take to count what it was owed.
const DRAINED: Duration = Duration::from_secs(60);

/// `up` on what is up already: nothing changes.
pub(super) async fn again(stack: &Stack) -> Result<()> {
    let before = stack.installation().status().await?;
    let summary = up(stack).await?;
    ensure!(!summary.changed, "a second `up` changed something");
    let after = stack.installation().status().await?;
    let pids = |status: &bootstrap::status::Status| -> Vec<(String, Option<u32>)> {
        status.rows.iter().map(|row| (row.name.clone(), row.pid)).collect()
    };
    ensure!(pids(&before) == pids(&after), "{before}\n{after}");
    crate::say(&format!("    a second `up` took {:.1} s", summary.took.as_secs_f64()));
    Ok(())
}

async fn up(stack: &Stack) -> Result<bootstrap::Summary> {
    let up = stack.installation().up(stack.reporter()).await;
    up.map_err(|failure| anyhow::anyhow!("{failure}"))
}

/// `down`, then `up`: all is there, what ran runs, and goes on counting where it was.
pub(super) async fn down_and_up(stack: &Stack) -> Result<()> {
    survive(stack, "down and up", async |stack| {
        stack.installation().down(stack.reporter()).await?;
        let status = stack.installation().status().await?;
        ensure!(
            status.rows.iter().all(|row| row.pid.is_none()),
            "something still runs: {status}"
        );
        Ok(())
    })
    .await
}

/// kill -9 of the supervisor, of every program and of every application at once, then `up`.
pub(super) async fn killed_at_once(stack: &Stack) -> Result<()> {
    survive(stack, "all killed", async |stack| {
        let supervisor = stack.installation().supervisor_pid().await.context("a supervisor")?;
        for process in faults::descendants(supervisor) {
            // A child may have gone with its parent.
            drop(faults::kill(process));
        }
        for container in applications(stack)? {
            faults::docker(&["kill", "--signal", "KILL", &container])?;
        }
        Ok(())
    })
    .await
}

fn applications(stack: &Stack) -> Result<Vec<String>> {
    let filter = format!("label=platform.installation={}", stack.settings().name);
    let list = faults::docker(&["ps", "--quiet", "--filter", &filter])?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// Runs an application, lets something happen to the installation while 100 readings a second are sent, brings it up, and compares.
pub(super) async fn survive(stack: &Stack, name: &str, happen: impl AsyncFnOnce(&Stack) -> Result<()>) -> Result<()> {
    let traffic = Plan {
        sensors: 2,
        every_ms: 20,
        ..Plan::room(format!("Room of {name}"))
    };
    survive_under(stack, name, traffic, happen).await
}

/// The same with other traffic.
pub(super) async fn survive_under(
    stack: &Stack,
    name: &str,
    traffic: Plan,
    happen: impl AsyncFnOnce(&Stack) -> Result<()>,
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let user = member(stack.admin(), &name.replace(' ', "-"), &["end_user"]).await?;
    let application = room_comfort(stack).await?;
    let plan = Plan { fans: 1, ..traffic };
    let site = Site::register(stack, &plan, folder.path()).await?;
    let instance = id(&site.run_now(&user, &application, json!({})).await?)?;
    instance_is(&user, &instance, "running").await?;
    let simulation = site.play().await?;
    until("some readings are acknowledged", DRAINED, || async {
        let acknowledged: u64 = ledger::acknowledged(site.journal())?.values().sum();
        Ok((acknowledged > 200).then_some(()))
    })
    .await?;
    // What schedules bring forth from here on, or had just begun to, is no part of the comparison.
    let due = Timestamp::now().plus_millis(-10_000).to_string();
    let before = picture(stack.admin(), &due).await?;

    happen(stack).await?;
    let summary = up(stack).await?;
    crate::say(&format!("    `up` after {name}: {:.1} s", summary.took.as_secs_f64()));

    let after = until("the picture is whole", DRAINED, || async {
        let now = picture(stack.admin(), &due).await?;
        ensure!(now == before, "{}", difference(&before, &now));
        Ok(Some(now))
    })
    .await?;
    ensure!(!after.is_empty(), "the picture shows something");
    instance_is(&user, &instance, "running").await?;
    simulation.stop(DRAINED).await?;
    let acknowledged = ledger::acknowledged(site.journal())?;
    until("every acknowledged reading is counted once", DRAINED, || async {
        let state = super::checkpoint(stack, &instance).await?;
        ledger::compare(&acknowledged, &state)?;
        Ok(Some(()))
    })
    .await?;
    user.post(&format!("/api/v1/instances/{instance}/stop"), &json!({}))
        .await?;
    instance_is(&user, &instance, "stopped").await.map(drop)
}

/// A backup; everything is deleted; a restore is killed while it fills the database, and `up` ends it; then all is as it was, and applications
/// go on counting from what they had saved.
pub(super) async fn restored(stack: &Stack) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (file, archive) = (folder.path().join("config.json"), folder.path().join("backup.tar.gz"));
    std::fs::write(&file, serde_json::to_string(&crate::stack::config())?)?;
    let application = room_comfort(stack).await?;
    let plan = Plan {
        sensors: 2,
        every_ms: 20,
        ..Plan::room("Room of a backup")
    };
    let site = Site::register(stack, &Plan { fans: 1, ..plan }, folder.path()).await?;
    let instance = id(&site.run_now(stack.admin(), &application, json!({})).await?)?;
    instance_is(stack.admin(), &instance, "running").await?;
    count_some(stack, &site, &instance).await?;
    let due = Timestamp::now().plus_millis(-10_000).to_string();
    let before = picture(stack.admin(), &due).await?;
    let name = archive.to_string_lossy().into_owned();
    let began = std::time::Instant::now();
    let (code, said) = admin::run(&file, &["--no-input", "backup", &name])?;
    ensure!(code == Some(0) && said.contains(&name), "{code:?} {said}");
    crate::say(&format!("    a backup: {:.1} s", began.elapsed().as_secs_f64()));
    let (code, said) = admin::run(&file, &["--no-input", "restore", &name])?;
    ensure!(
        code == Some(2) && said.contains("--yes"),
        "restoring over data asks: {code:?} {said}"
    );

    stack.remove().await?;
    let began = std::time::Instant::now();
    let fills = |line: &str| line.contains("database of the backup …");
    let last = admin::killed(&file, &built(&["--no-input", "restore", &name]), fills).await?;
    ensure!(fills(&last), "it was to be killed before it said: {last}");
    let restored = stack.installation().up(stack.reporter()).await;
    restored.map_err(|failure| anyhow::anyhow!("{failure}"))?;
    crate::say(&format!(
        "    `restore` that is killed, and `up`: {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    until("what was there is there again", DRAINED, || async {
        let now = picture(stack.admin(), &due).await?;
        ensure!(now == before, "{}", difference(&before, &now));
        Ok(Some(()))
    })
    .await?;
    // Its image is built again first.
    instance_is(stack.admin(), &instance, "running").await?;
    count_some(stack, &site, &instance).await?;
    stack
        .admin()
        .post(&format!("/api/v1/instances/{instance}/stop"), &json!({}))
        .await?;
    instance_is(stack.admin(), &instance, "stopped").await.map(drop)
}

/// Sends readings until some more are acknowledged, and waits until all that ever were are counted once.
async fn count_some(stack: &Stack, site: &Site, instance: &str) -> Result<()> {
    let count = || -> Result<u64> { Ok(ledger::acknowledged(site.journal())?.values().sum()) };
    let before = count().unwrap_or_default();
    let simulation = site.play().await?;
    until("some readings are acknowledged", DRAINED, || async {
        Ok((count()? > before + 200).then_some(()))
    })
    .await?;
    simulation.stop(DRAINED).await?;
    let acknowledged = ledger::acknowledged(site.journal())?;
    until("every acknowledged reading is counted once", DRAINED, || async {
        ledger::compare(&acknowledged, &super::checkpoint(stack, instance).await?)?;
        Ok(Some(()))
    })
    .await
}

/// Ids and names of everything an admin sees, but instances that were due later than a moment.
async fn picture(admin: &Client, due: &str) -> Result<Vec<String>> {
    let mut seen = Vec::new();
    for list in [
        "users",
        "applications",
        "locations",
        "types",
        "connectors",
        "sensors",
        "devices",
        "schedules",
        "instances",
    ] {
        for entry in admin.list(&format!("/api/v1/{list}")).await? {
            if entry["due"].as_str().is_some_and(|moment| moment > due) {
                continue;
            }
            let name = |field: &str| entry.get(field).map(Value::to_string).unwrap_or_default();
            seen.push(format!("{list} {} {} {}", name("id"), name("name"), name("due")));
        }
    }
    seen.sort();
    Ok(seen)
}

fn difference(before: &[String], now: &[String]) -> String {
    let lost: Vec<&String> = before.iter().filter(|line| !now.contains(line)).collect();
    let new: Vec<&String> = now.iter().filter(|line| !before.contains(line)).collect();
    format!("lost {lost:?}, new {new:?}")
}

/// `status`, `logs`, `restart` as an admin types them.
pub(super) async fn commands(stack: &Stack) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("config.json");
    std::fs::write(&file, serde_json::to_string(&crate::stack::config())?)?;
    let (code, said) = admin::run(&file, &["status"])?;
    ensure!(code == Some(0), "{code:?} {said}");
    for wanted in ["scheduler", "ready", "kafka", "MiB"] {
        ensure!(said.contains(wanted), "`status` does not say `{wanted}`: {said}");
    }
    let (code, said) = admin::run(&file, &["logs", "-n", "3", "scheduler"])?;
    // Whatever its newest lines are, each begins with its moment; a scheduler that has just begun may have one.
    let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    let dated = lines.iter().all(|line| line.starts_with("20"));
    ensure!(
        code == Some(0) && dated && (1..=3).contains(&lines.len()),
        "{code:?} {said}"
    );
    let narrowed = ["logs", "--json", "--since", "1 hour ago", "--grep", "started"];
    let (code, said) = admin::run(&file, &[&narrowed[..], &["-n", "1", "scheduler"]].concat())?;
    ensure!(
        code == Some(0) && said.contains(r#""program":"scheduler""#),
        "{code:?} {said}"
    );
    let (code, said) = admin::run(&file, &["logs", "--since", "tomorrow", "scheduler"])?;
    ensure!(code == Some(0) && said.is_empty(), "{code:?} {said}");
    let (code, said) = admin::run(&file, &["logs", "nobody"])?;
    ensure!(code == Some(2) && said.contains("scheduler"), "{code:?} {said}");
    let pid = stack.pid("scheduler").await?;
    let (code, said) = admin::run(&file, &["restart", "scheduler"])?;
    ensure!(code == Some(0), "{code:?} {said}");
    stack.back("scheduler", pid, Duration::from_secs(10)).await?;
    let (code, said) = admin::run(&file, &["down", "--delete-data"])?;
    ensure!(
        code == Some(2) && said.contains("--yes"),
        "deleting asks: {code:?} {said}"
    );
    stack.healthy(Duration::from_secs(20)).await
}

/// `up --demo` on what is up: a building, applications, and a fan that was switched; again: nothing changes.
pub(super) async fn demo(stack: &Stack) -> Result<()> {
    let installation = crate::stack::with_demo();
    let began = std::time::Instant::now();
    let first = installation
        .up(stack.reporter())
        .await
        .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    ensure!(first.changed, "the demo was there already");
    crate::say(&format!(
        "    `up --demo`: {:.1} s to a fan that was switched",
        began.elapsed().as_secs_f64()
    ));
    let second = installation
        .up(stack.reporter())
        .await
        .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    ensure!(!second.changed, "a second `up --demo` changed something");
    let instances = stack.admin().list("/api/v1/instances").await?;
    let runs = instances
        .iter()
        .any(|instance| instance["application"]["name"] == "room-comfort" && instance["state"] == "running");
    ensure!(runs, "room-comfort does not run: {instances:?}");
    let report = stack.admin().list("/api/v1/schedules").await?;
    ensure!(
        report
            .iter()
            .any(|schedule| schedule["application"]["name"] == "daily-report"),
        "daily-report is not scheduled: {report:?}"
    );
    Ok(())
}

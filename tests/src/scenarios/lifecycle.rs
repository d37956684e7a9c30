//! `up`, `down` and everything at once.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::stack::Stack;
use crate::{faults, wait};

/// A second `up` changes nothing; `down` and `up` keep users, applications and history.
pub(super) async fn again(stack: &Stack) -> Result<()> {
    let summary = stack
        .installation()
        .up(stack.reporter())
        .await
        .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    ensure!(!summary.changed, "a second `up` changed something");
    crate::say(&format!("    a second `up` took {:.1} s", summary.took.as_secs_f64()));
    let before = picture(stack).await?;
    stack.installation().down(stack.reporter()).await?;
    stack
        .installation()
        .up(stack.reporter())
        .await
        .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    same_picture(stack, &before).await
}

/// kill -9 of every process of the installation at once; `up` brings all of it back.
pub(super) async fn everything(stack: &Stack) -> Result<()> {
    let before = picture(stack).await?;
    let status = stack.installation().status().await?;
    let mut processes: Vec<u32> = status
        .rows
        .iter()
        .filter(|row| row.name != "engine")
        .filter_map(|row| row.pid)
        .collect();
    processes = processes.into_iter().flat_map(faults::descendants).collect();
    if let Some(supervisor) = stack.installation().supervisor_pid().await {
        processes.insert(0, supervisor);
    }
    for process in processes {
        // Some go with their parents.
        drop(faults::kill(process));
    }
    stack
        .installation()
        .up(stack.reporter())
        .await
        .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    stack.healthy(Duration::from_secs(60)).await?;
    same_picture(stack, &before).await
}

/// What people would miss.
async fn picture(stack: &Stack) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for list in [
        "users",
        "applications",
        "locations",
        "types",
        "connectors",
        "sensors",
        "devices",
        "instances",
    ] {
        let items = stack.admin().list(&format!("/api/v1/{list}")).await?;
        let mut ids: Vec<String> = items
            .iter()
            .map(|item| format!("{list} {} {}", item["id"], item["name"]))
            .collect();
        ids.sort();
        names.extend(ids);
    }
    Ok(names)
}

async fn same_picture(stack: &Stack, before: &[String]) -> Result<()> {
    wait::until("everything is as before", Duration::from_secs(30), || async {
        let now = picture(stack).await?;
        let lost: Vec<&String> = before.iter().filter(|name| !now.contains(name)).collect();
        ensure!(lost.is_empty(), "lost: {lost:?}");
        Ok(Some(()))
    })
    .await
}

//! A host joins, and another leaves, while readings flow.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use simulator::config::Servers;

use super::hosts::{Command, built, config};
use super::path::instance_is;
use crate::client::Client;
use crate::rig::{Rig, RigHost};
use crate::site::{Plan, Site, bundle, id, types};
use crate::stack::{ADMIN_PASSWORD, Stack};
use crate::wait::until;
use crate::{ledger, say};

pub(super) const DRAINED: Duration = Duration::from_secs(60);

/// Two hosts become three, then the second goes: what runs there moves, and every acknowledged reading is counted once.
pub(super) async fn joins_and_leaves(_: &Stack) -> Result<()> {
    let rig = Rig::start("iot-rig-members", 3).await?;
    let outcome = play(&rig).await;
    rig.remove().await?;
    outcome
}

/// The config of some of the hosts. The first keeps what cannot move.
fn members(rig: &Rig, folder: &Path, which: &[usize]) -> Result<Command> {
    let all = config(rig)?.hosts;
    let fixed = json!([
        "kafka",
        "mongodb",
        "registry",
        "application-manager",
        "sensor-manager",
        "deployer"
    ]);
    Command::new(folder, rig, |config| {
        config.hosts = which.iter().filter_map(|index| all.get(*index).cloned()).collect();
        if let (Some(first), Ok(fixed)) = (config.hosts.first_mut(), serde_json::from_value(fixed)) {
            first.services = Some(fixed);
        }
    })
}

async fn play(rig: &Rig) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [first, second, third] = rig.hosts() else {
        anyhow::bail!("three hosts")
    };
    members(rig, folder.path(), &[0, 1])?.ends(&built(&["up"]), 0, &["is up on 2 hosts"])?;
    let password = rig.run(first, "cat /var/lib/iot/secrets/first-admin.password").await?;
    let base = format!("http://{}", first.address);
    let admin = Client::sign_in_first(&base, "admin", password.trim(), ADMIN_PASSWORD).await?;
    types(&admin).await?;
    admin.upload(bundle("room-comfort", "room-comfort")?).await?;
    let plan = Plan {
        sensors: 3,
        every_ms: 20,
        fans: 1,
        ..Plan::room("Room that stays")
    };
    let servers = Servers {
        mqtt: Some(format!("{}:1883", first.address)),
        http: Some(format!("http://{}:8082", first.address)),
    };
    let site = Site::register_at(&admin, servers, &plan, folder.path()).await?;
    let instance = id(&site.run_now(&admin, "room-comfort", json!({})).await?)?;
    instance_is(&admin, &instance, "running").await?;
    let simulation = site.play().await?;

    let began = Instant::now();
    let three = members(rig, folder.path(), &[0, 1, 2])?;
    three.ends(&built(&["up"]), 0, &["is up on 3 hosts"])?;
    say(&format!("    a third host: {:.1} s", began.elapsed().as_secs_f64()));
    ensure!(runs(rig, third).await? >= 2, "services are spread to the third host");
    // It may run anywhere; for what follows it has to be on the host that goes.
    let node = node_of(rig, first).await?;
    if node != second.name {
        let other = rig.hosts().iter().find(|host| host.name == node).context("a host")?;
        move_away(rig, first, other).await?;
    }
    flows(site.journal()).await?;

    let began = Instant::now();
    let left = members(rig, folder.path(), &[0, 2])?;
    left.ends(
        &built(&["plan"]),
        0,
        &[&second.name, "leaves", "no longer in config.json"],
    )?;
    let said = left.ends(
        &built(&["up"]),
        0,
        &["its applications have moved", "has left", "is up on 2 hosts"],
    )?;
    say(&format!("    the second left: {:.1} s", began.elapsed().as_secs_f64()));
    ensure!(!said.contains("is away"), "{said}");
    left.ends(&built(&["plan", "--detailed-exitcode"]), 0, &["nothing to do"])?;
    ensure!(runs(rig, second).await? == 0, "something is left on the second host");
    let nodes = rig.run(first, "docker node ls -q | wc -l").await?;
    ensure!(nodes.trim() == "2", "{nodes} nodes");

    flows(site.journal()).await?;
    simulation.stop(DRAINED).await?;
    let acknowledged = ledger::acknowledged(site.journal())?;
    let page = admin.get(&format!("/api/v1/instances/{instance}/page")).await?;
    let live = format!("{}live", page["url"].as_str().context("an address")?);
    until("every acknowledged reading is counted once", DRAINED, || async {
        ledger::compare(&acknowledged, &first_event(&live).await?)?;
        Ok(Some(()))
    })
    .await?;
    say(&format!(
        "    {} readings acknowledged and counted",
        acknowledged.values().sum::<u64>()
    ));
    Ok(())
}

/// How many units of the platform a host has.
async fn runs(rig: &Rig, host: &RigHost) -> Result<usize> {
    let units = rig
        .run(
            host,
            "ls /etc/systemd/system/iot-*.service 2>/dev/null | grep -vc network || true",
        )
        .await?;
    units.trim().parse().with_context(|| format!("{units:?} is no number"))
}

/// The node that the application runs on.
async fn node_of(rig: &Rig, gate: &RigHost) -> Result<String> {
    let list = "docker service ps -f desired-state=running --format '{{.Node}}' $(docker service ls -q)";
    Ok(rig.run(gate, list).await?.trim().to_owned())
}

/// Lets the swarm start the application on the second host, as if it had been there from the beginning.
async fn move_away(rig: &Rig, gate: &RigHost, from: &RigHost) -> Result<()> {
    let others: Vec<&RigHost> = rig.hosts().iter().filter(|host| **host != rig.hosts()[1]).collect();
    let drain = |state: &str| {
        let updates = others
            .iter()
            .map(|host| format!("docker node update --availability {state} {} >/dev/null", host.name));
        updates.collect::<Vec<_>>().join(" && ")
    };
    rig.run(gate, &drain("drain")).await?;
    until("the application has moved", DRAINED, || async {
        Ok((node_of(rig, gate).await? == rig.hosts()[1].name).then_some(()))
    })
    .await
    .with_context(|| format!("away from {}", from.name))?;
    rig.run(gate, &drain("active")).await.map(drop)
}

/// Waits until 300 more readings were acknowledged.
pub(super) async fn flows(journal: &Path) -> Result<()> {
    let count = || -> Result<u64> { Ok(ledger::acknowledged(journal)?.values().sum()) };
    let before = count()?;
    until("readings flow", DRAINED, || async {
        Ok((count()? > before + 300).then_some(()))
    })
    .await
}

/// What the application's page shows now.
pub(super) async fn first_event(address: &str) -> Result<Value> {
    let mut response = reqwest::get(address).await?.error_for_status()?;
    let mut text = String::new();
    while let Some(bytes) = tokio::time::timeout(Duration::from_secs(10), response.chunk()).await?? {
        text.push_str(&String::from_utf8_lossy(&bytes));
        let event = text.split("\n\n").find_map(|event| {
            let data = event.lines().find_map(|line| line.strip_prefix("data:"))?;
            serde_json::from_str(data.trim()).ok()
        });
        if let Some(event) = event {
            return Ok(event);
        }
    }
    anyhow::bail!("the page's stream ended: {text}")
}

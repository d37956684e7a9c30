//! A host joins, and another leaves, while readings flow.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::counted::CountedRoom;
use super::hosts::{Command, built, config};
use crate::rig::{Rig, RigHost};
use crate::say;
use crate::wait::until;

const DRAINED: Duration = Duration::from_secs(60);

/// Two hosts become three, then the second goes: what runs there moves, and every acknowledged reading is counted once.
pub(super) async fn joins_and_leaves() -> Result<()> {
    let rig = Rig::start("iot-rig-members", 3).await?;
    let outcome = play(&rig).await;
    rig.after(outcome).await
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
    let room = CountedRoom::begin(rig, first, folder.path(), "Room that stays").await?;

    let began = Instant::now();
    let three = members(rig, folder.path(), &[0, 1, 2])?;
    three.ends(&built(&["up"]), 0, &["is up on 3 hosts"])?;
    say(&format!("    a third host: {:.1} s", began.elapsed().as_secs_f64()));
    ensure!(runs(rig, third).await? >= 2, "services are spread to the third host");
    // It may run anywhere; for what follows it has to be on the host that goes.
    let node = node_of(rig, first, "room-comfort").await?;
    if node != second.name {
        move_away(rig, first, "room-comfort").await?;
    }
    room.flows().await?;

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

    room.flows().await?;
    room.end().await
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

/// The node that an application runs on.
pub(super) async fn node_of(rig: &Rig, gate: &RigHost, application: &str) -> Result<String> {
    let list = format!(
        "for service in $(docker service ls -q); do docker service inspect $service --format '{{{{.Spec.TaskTemplate.ContainerSpec.Image}}}}' | grep -q /{application}@ && docker service ps -f desired-state=running --format '{{{{.Node}}}}' $service; done; true"
    );
    Ok(rig.run(gate, &list).await?.trim().to_owned())
}

/// Lets the swarm start an application on the second host, as if it had been there from the beginning.
pub(super) async fn move_away(rig: &Rig, gate: &RigHost, application: &str) -> Result<()> {
    let others: Vec<&RigHost> = rig.hosts().iter().filter(|host| **host != rig.hosts()[1]).collect();
    let drain = |state: &str| {
        let updates = others
            .iter()
            .map(|host| format!("docker node update --availability {state} {} >/dev/null", host.name));
        updates.collect::<Vec<_>>().join(" && ")
    };
    // A swarm that has just become whole again may be choosing its leader.
    until("the swarm takes orders", DRAINED, || async {
        rig.run(gate, &drain("drain")).await.map(|_| Some(()))
    })
    .await?;
    until("the application has moved", DRAINED, || async {
        let node = node_of(rig, gate, application).await?;
        if node == rig.hosts()[1].name {
            return Ok(Some(()));
        }
        let look = "docker node ls; docker service ps --no-trunc --format '{{.Image}} {{.Node}} {{.DesiredState}} {{.CurrentState}} {{.Error}}' $(docker service ls -q)";
        anyhow::bail!("it is on {node:?}\n{}", rig.run(gate, look).await?)
    })
    .await?;
    until("the swarm takes orders", DRAINED, || async {
        rig.run(gate, &drain("active")).await.map(|_| Some(()))
    })
    .await
}

//! A host of three is lost with everything it runs: copies of services, a broker, the registry of images, an application.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::counted::{CountedRoom, Watch};
use super::hosts::{Command, built};
use super::membership::{move_away, node_of};
use super::occurrences::Occurrences;
use crate::rig::{Rig, RigHost};
use crate::say;
use crate::stack::Stack;
use crate::wait::until;

/// What each host runs: the second has a copy of what people, devices and applications need, and the only registry.
const ROLES: [&[&str]; 3] = [
    &[
        "kafka",
        "mongodb",
        "application-manager",
        "sensor-manager",
        "deployer",
        "monitor",
    ],
    &[
        "kafka",
        "registry",
        "application-manager",
        "sensor-manager",
        "scheduler",
        "action-manager",
    ],
    &["kafka", "scheduler", "deployer", "action-manager", "monitor"],
];
/// Longest time until the application runs on another host.
const MOVED: Duration = Duration::from_secs(45);
const DRAINED: Duration = Duration::from_secs(60);

/// Power taken from a host: the others take over, nothing acknowledged is lost, images are still there; it returns.
pub(super) async fn host(_: &Stack) -> Result<()> {
    let rig = Rig::start("iot-rig-lost", 3).await?;
    let outcome = play(&rig).await;
    rig.remove().await?;
    outcome
}

async fn play(rig: &Rig) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let command = Command::new(folder.path(), rig, |config| {
        config.kafka.replication = 3;
        for (host, roles) in config.hosts.iter_mut().zip(ROLES) {
            host.services = serde_json::from_value(json!(roles)).ok();
        }
    })?;
    command.ends(&built(&["up"]), 0, &["is up on 3 hosts"])?;
    command.ends(&built(&["plan", "--detailed-exitcode"]), 0, &["nothing to do"])?;
    let [first, second, _] = rig.hosts() else {
        anyhow::bail!("three hosts")
    };
    let room = CountedRoom::begin(rig, first, folder.path(), "Room of three hosts").await?;
    if node_of(rig, first).await? != second.name {
        move_away(rig, first, first).await?;
    }
    images_are_everywhere(rig).await?;
    Occurrences::prepare(room.admin()).await?;
    room.flows().await?;

    let occurrences = Occurrences::plan(room.admin(), room.location(), 6, Duration::from_secs(5)).await?;
    let (watch, began) = (Watch::begin(room.journal()), Instant::now());
    rig.kill(second).await?;
    until("the swarm runs it on another host", MOVED, || async {
        let node = node_of(rig, first).await?;
        Ok((!node.is_empty() && node != second.name).then_some(()))
    })
    .await?;
    room.counts_on(MOVED.saturating_sub(began.elapsed())).await?;
    say(&format!(
        "    the application counts on, on another host, after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    people_go_on(&room).await?;
    say(&format!(
        "    what people ask for is carried out after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    room.flows().await?;
    watch.end("a host killed");
    occurrences.end(room.admin()).await?;

    rig.start_again(second).await?;
    command.settles().await?;
    room.flows().await?;
    the_registry_is_filled_again(rig, second).await?;
    room.end().await
}

/// Every host has the application's image before anybody needs it there.
async fn images_are_everywhere(rig: &Rig) -> Result<()> {
    for host in rig.hosts() {
        until(&format!("{} has the image", host.name), DRAINED, || async {
            let images = rig
                .run(host, "docker images -q --filter reference='*/iot/room-comfort'")
                .await?;
            Ok((!images.trim().is_empty()).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// A change that the registry, the scheduler and the action manager carry out.
async fn people_go_on(room: &CountedRoom) -> Result<()> {
    let place = json!({ "name": format!("After {}", crate::client::mark()), "kind": "room", "grants": [] });
    room.admin().post("/api/v1/locations", &place).await.map(drop)
}

/// What the registry has lost is pushed or built again.
async fn the_registry_is_filled_again(rig: &Rig, host: &RigHost) -> Result<()> {
    let folder = "/var/lib/iot/registry/docker";
    rig.run(
        host,
        &format!("systemctl stop iot-registry && rm -rf {folder} && systemctl start iot-registry"),
    )
    .await?;
    let began = Instant::now();
    let look = format!(
        "ls {folder}/registry/v2/repositories/iot/room-comfort/_manifests/revisions/sha256 2>/dev/null | wc -l"
    );
    until("the registry has the image again", Duration::from_secs(120), || async {
        let found = rig.run(host, &look).await?;
        Ok((found.trim() != "0").then_some(()))
    })
    .await
    .context("after its data were lost")?;
    say(&format!(
        "    a registry that lost its data has the image again after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

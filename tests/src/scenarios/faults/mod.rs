//! The table of faults: what breaks, how long it takes until the main job goes on, and that nothing is lost or doubled.

mod world;

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::counted::CountedRoom;
use super::hosts::{Command, built};
use super::occurrences::Occurrences;
use crate::rig::Rig;
use crate::say;
use crate::wait::until;
use world::World;

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
        "registry",
        "application-manager",
        "sensor-manager",
        "scheduler",
        "action-manager",
    ],
    &["scheduler", "deployer", "action-manager", "monitor"],
];
/// Longer than any target: what takes longer fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// kill -9 of a service.
    ServiceKilled,
    /// SIGSTOP of a service.
    ServiceHung,
    /// kill -9 of both deployers while an instance is started.
    DeployerKilled,
    /// kill -9 of Docker Engine on the application's host.
    EngineKilled,
    /// kill -9 of `MongoDB`, counted from when it answers again.
    MongodbKilled,
    /// The application's host loses its network for a while.
    HostPartitioned,
    /// The application's host, with the registry and a copy of most services, loses its power.
    HostKilled,
}

impl Fault {
    /// All of them, in the order in which they are played.
    pub(crate) const ALL: [Self; 7] = [
        Self::ServiceKilled,
        Self::ServiceHung,
        Self::DeployerKilled,
        Self::EngineKilled,
        Self::MongodbKilled,
        Self::HostPartitioned,
        Self::HostKilled,
    ];

    /// What it is called, and until when what has to go on, in seconds at most.
    #[must_use]
    pub(crate) fn row(self) -> (&'static str, &'static str, f64) {
        match self {
            Self::ServiceKilled => ("service kill -9", "it is ready again", 5.0),
            Self::ServiceHung => ("service hung (SIGSTOP)", "it is ready again", 15.0),
            Self::DeployerKilled => ("deployers killed mid-deploy", "the instance runs", 10.0),
            Self::EngineKilled => ("dockerd killed", "the application counts on", 30.0),
            Self::MongodbKilled => (
                "MongoDB killed and restarted",
                "a change is carried out, once it is back",
                10.0,
            ),
            Self::HostPartitioned => (
                "host partitioned and healed",
                "the application counts on elsewhere",
                45.0,
            ),
            Self::HostKilled => ("host killed", "the application counts on elsewhere", 45.0),
        }
    }
}

/// Plays every row so often; a partition lasts so long. Returns the seconds of each row. Readings and occurrences are counted at the end.
///
/// # Errors
/// When something does not recover, or was lost or doubled.
pub(crate) async fn table(rounds: u32, partition: Duration) -> Result<Vec<(Fault, Vec<f64>)>> {
    let rig = Rig::start("iot-rig-faults", 3).await?;
    let outcome = play(&rig, rounds, partition).await;
    rig.remove().await?;
    outcome
}

async fn play(rig: &Rig, rounds: u32, partition: Duration) -> Result<Vec<(Fault, Vec<f64>)>> {
    let folder = tempfile::tempdir()?;
    let command = Command::new(folder.path(), rig, |config| {
        for (host, roles) in config.hosts.iter_mut().zip(ROLES) {
            host.services = serde_json::from_value(json!(roles)).ok();
        }
    })?;
    command.ends(&built(&["up"]), 0, &["is up on 3 hosts"])?;
    command.ends(&built(&["plan", "--detailed-exitcode"]), 0, &["nothing to do"])?;
    let [first, second, third] = rig.hosts() else {
        anyhow::bail!("three hosts")
    };
    let room = CountedRoom::begin(rig, first, folder.path(), "Room of three hosts").await?;
    Occurrences::prepare(room.admin()).await?;
    images_are_everywhere(rig).await?;
    let world = World {
        rig,
        command,
        hosts: [first, second, third],
        room,
        partition,
        occurrences: RefCell::new(Vec::new()),
    };
    let mut figures: Vec<(Fault, Vec<f64>)> = Fault::ALL.iter().map(|fault| (*fault, Vec::new())).collect();
    for round in 0..rounds {
        for (fault, times) in &mut figures {
            let (name, what, target) = fault.row();
            let took = world.inject(*fault, round).await.with_context(|| name.to_owned())?;
            say(&format!(
                "    {name}: {what} after {:.1} s (target {target:.0} s)",
                took.as_secs_f64()
            ));
            times.push(took.as_secs_f64());
        }
    }
    world.registry_is_filled_again().await?;
    world.end().await?;
    Ok(figures)
}

/// Every host has the application's image before anybody needs it there.
async fn images_are_everywhere(rig: &Rig) -> Result<()> {
    for host in rig.hosts() {
        until(&format!("{} has the image", host.name), PATIENCE, || async {
            let images = rig
                .run(host, "docker images -q --filter reference='*/iot/room-comfort'")
                .await?;
            Ok((!images.trim().is_empty()).then_some(()))
        })
        .await?;
    }
    Ok(())
}

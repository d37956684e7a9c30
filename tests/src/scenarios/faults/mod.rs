//! The table of faults: what breaks, how long it takes until the main job goes on, and that nothing is lost or doubled.

mod world;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use common::config::Config;
use serde_json::json;

use super::counted::CountedRoom;
use super::hosts::{Command, built};
use crate::rig::Rig;
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
/// How long a host is without its network, or without power, where the story is told once: longer than its application needs to begin elsewhere.
const MOMENT: Duration = Duration::from_secs(20);

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
    /// kill -9 of one of three brokers, another one each round.
    BrokerKilled,
    /// The application's host loses its network for a while.
    HostPartitioned,
    /// The same of a host with one of three brokers.
    BrokerPartitioned,
    /// The application's host, with the registry and a copy of most services, loses its power.
    HostKilled,
    /// The host with `MongoDB`, and with Kafka where there is one broker, loses its power.
    DatabaseHostKilled,
}

impl Fault {
    /// What is played where there are two copies of each service and one broker, in this order.
    const WITH_COPIES: [Self; 8] = [
        Self::ServiceKilled,
        Self::ServiceHung,
        Self::DeployerKilled,
        Self::EngineKilled,
        Self::MongodbKilled,
        Self::HostPartitioned,
        Self::HostKilled,
        Self::DatabaseHostKilled,
    ];
    /// What is played where there are three brokers and one copy of each service: hosts that share two CPUs do not carry both.
    const WITH_BROKERS: [Self; 2] = [Self::BrokerKilled, Self::BrokerPartitioned];

    /// Whether it needs the application on the second host.
    fn is_of_hosts(self) -> bool {
        matches!(
            self,
            Self::EngineKilled
                | Self::HostPartitioned
                | Self::BrokerPartitioned
                | Self::HostKilled
                | Self::DatabaseHostKilled
        )
    }

    /// What it is called, until when is counted, and how many seconds that may take, where there is a target.
    #[must_use]
    pub(crate) fn row(self) -> (&'static str, &'static str, Option<f64>) {
        match self {
            Self::ServiceKilled => ("service kill -9", "it is ready again", Some(5.0)),
            Self::ServiceHung => ("service hung (SIGSTOP)", "it is ready again", Some(15.0)),
            Self::DeployerKilled => ("deployers killed mid-deploy", "the instance runs", Some(10.0)),
            Self::EngineKilled => ("dockerd killed", "the application counts on", Some(30.0)),
            Self::MongodbKilled => (
                "MongoDB killed and restarted",
                "a change is carried out, once it is back",
                Some(10.0),
            ),
            Self::BrokerKilled => (
                "broker killed (of 3)",
                "readings are acknowledged again, no client having met an error",
                Some(10.0),
            ),
            Self::HostPartitioned => (
                "host partitioned and healed",
                "the application counts on elsewhere",
                Some(45.0),
            ),
            Self::HostKilled => ("host killed", "the application counts on elsewhere", Some(45.0)),
            Self::BrokerPartitioned => (
                "host with a broker (of 3) partitioned and healed",
                "the application counts on elsewhere",
                Some(45.0),
            ),
            Self::DatabaseHostKilled => (
                "host with Kafka and MongoDB killed",
                "the application counts on, once the host boots",
                None,
            ),
        }
    }
}

/// Plays every row so often, or those with a text in their name; a partition lasts so long. Returns the seconds of each row. Readings and
/// occurrences are counted at the end.
///
/// # Errors
/// When something does not recover, or was lost or doubled.
pub(crate) async fn table(rounds: u32, partition: Duration, only: Option<&str>) -> Result<Vec<(Fault, Vec<f64>)>> {
    let chosen = |of: &[Fault]| -> Vec<Fault> {
        let named = |fault: &&Fault| only.is_none_or(|only| fault.row().0.contains(only));
        of.iter().filter(named).copied().collect()
    };
    let (with_copies, with_brokers) = (chosen(&Fault::WITH_COPIES), chosen(&Fault::WITH_BROKERS));
    let mut figures = Vec::new();
    if !with_copies.is_empty() {
        let copies = |config: &mut Config| {
            for (host, roles) in config.hosts.iter_mut().zip(ROLES) {
                host.services = serde_json::from_value(json!(roles)).ok();
            }
        };
        let rig = Rig::start("iot-rig-faults", 3).await?;
        let outcome = play(&rig, copies, &with_copies, (rounds, partition)).await;
        figures.extend(rig.after(outcome).await?);
    }
    if !with_brokers.is_empty() {
        let brokers = |config: &mut Config| config.kafka.replication = 3;
        let rig = Rig::start("iot-rig-brokers", 3).await?;
        let outcome = play(&rig, brokers, &with_brokers, (rounds, partition)).await;
        figures.extend(rig.after(outcome).await?);
    }
    ensure!(!figures.is_empty(), "no row has that in its name");
    Ok(figures)
}

async fn play(
    rig: &Rig,
    change: impl FnOnce(&mut Config),
    faults: &[Fault],
    (rounds, partition): (u32, Duration),
) -> Result<Vec<(Fault, Vec<f64>)>> {
    let folder = tempfile::tempdir()?;
    let command = Command::new(folder.path(), rig, change)?;
    command.ends(&built(&["up"]), 0, &["is up on 3 hosts"])?;
    command.ends(&built(&["plan", "--detailed-exitcode"]), 0, &["nothing to do"])?;
    let first = rig.hosts().first().context("a host")?;
    let room = CountedRoom::begin(rig, first, folder.path(), "Room of three hosts").await?;
    let mut world = World::new(rig, command, room, partition).await?;
    let mut figures: Vec<(Fault, Vec<f64>)> = faults.iter().map(|fault| (*fault, Vec::new())).collect();
    for round in 0..rounds {
        for (fault, times) in &mut figures {
            times.push(world.row(*fault, round).await?);
        }
    }
    if faults.contains(&Fault::HostKilled) {
        world.registry_is_filled_again().await?;
    }
    world.end().await?;
    Ok(figures)
}

/// What only hosts can lose, once each, for a room on three of them with a broker each.
pub(super) async fn of_hosts(rig: &Rig, command: Command, room: CountedRoom) -> Result<()> {
    let mut world = World::new(rig, command, room, MOMENT).await?;
    for fault in [
        Fault::EngineKilled,
        Fault::BrokerPartitioned,
        Fault::BrokerKilled,
        Fault::DatabaseHostKilled,
    ] {
        world.row(fault, 0).await?;
    }
    world.end().await
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

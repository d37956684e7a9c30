//! Three brokers: one is killed, another is away for a while, and nothing is lost or doubled.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::counted::{CountedRoom, Watch};
use super::hosts::{Command, built};
use crate::rig::{Rig, RigHost};
use crate::say;

/// What takes longer is told.
const NOTABLE: Duration = Duration::from_secs(10);

/// kill -9 of a broker, and one that stays away: nothing lost, nothing doubled.
pub(super) async fn one_is_lost() -> Result<()> {
    let rig = Rig::start("iot-rig-brokers", 3).await?;
    let outcome = play(&rig).await;
    rig.after(outcome).await
}

async fn play(rig: &Rig) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let command = Command::new(folder.path(), rig, |config| {
        config.kafka.replication = 3;
    })?;
    command.ends(&built(&["up"]), 0, &["is up on 3 hosts"])?;
    command.ends(&built(&["plan", "--detailed-exitcode"]), 0, &["nothing to do"])?;
    let first = rig.hosts().first().context("a host")?;
    let room = CountedRoom::begin(rig, first, folder.path(), "Room with brokers").await?;
    room.flows().await?;

    let watch = Watch::begin(room.journal());
    rig.run(first, "systemctl kill -s KILL iot-kafka").await?;
    room.flows().await?;
    caught_up(rig).await?;
    told(&format!("broker of {} killed", first.name), watch.end());
    let second = rig.hosts().get(1).context("a second host")?;
    let watch = Watch::begin(room.journal());
    rig.run(second, "systemctl stop iot-kafka").await?;
    room.flows().await?;
    rig.run(second, "systemctl start iot-kafka").await?;
    caught_up(rig).await?;
    told(&format!("broker of {} away", second.name), watch.end());

    room.end().await
}

fn told(what: &str, pause: Duration) {
    say(&format!(
        "    {what}: at most {:.1} s without PUBACK",
        pause.as_secs_f64()
    ));
}

/// Waits until every broker has a copy of everything: before that the next one may not be lost. One program asks all the while: a Java that
/// begins for each question takes the CPUs from the broker that is waited for.
pub(super) async fn caught_up(rig: &Rig) -> Result<()> {
    let host: &RigHost = rig.hosts().first().context("a host")?;
    let began = Instant::now();
    let wait = "cd /; runuser -u iot-platform -- java -cp '/var/lib/iot/kafka/libs/*:/var/lib/iot/kafka/libs/classes' Copies /var/lib/iot/secrets/kafka-admin.properties 90";
    if let Err(error) = rig.run(host, wait).await {
        return Err(error.context(said_by_brokers(rig).await));
    }
    let took = began.elapsed();
    if took > NOTABLE {
        say(&format!(
            "    every broker has everything after {:.1} s",
            took.as_secs_f64()
        ));
    }
    Ok(())
}

/// The newest lines of each broker's log that are no news of every day.
async fn said_by_brokers(rig: &Rig) -> String {
    let ask = "systemctl is-active iot-kafka; journalctl -u iot-kafka -o cat --since '-3 min' | grep -E ' (WARN|ERROR|FATAL) |started|Registered' | cut -c1-300 | tail -n 12";
    let mut all = String::new();
    for host in rig.hosts() {
        let said = rig.run(host, ask).await.unwrap_or_else(|error| format!("{error:#}"));
        all.push_str(&format!("{}: {said}\n", host.name));
    }
    all
}

//! Other programs, and the ones before again, while readings are sent, occurrences fall due and people look.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use common::config::SERVICES;

use super::counted::CountedRoom;
use super::hosts::{Command, built};
use super::occurrences::Occurrences;
use crate::client::Client;
use crate::rig::Rig;
use crate::{admin, say};

/// Time between two looks at the console.
const LOOKS: Duration = Duration::from_millis(100);
const ROOM: &str = "Room of other programs";

/// Programs that do the same and are not the same: each has a byte more at its end.
fn other_programs(from: &Path, into: &Path) -> Result<String> {
    let folder = into.join("programs");
    std::fs::create_dir(&folder)?;
    for name in SERVICES.into_iter().chain(["simulator"]) {
        let program = folder.join(name);
        if !from.join(name).exists() {
            continue;
        }
        std::fs::copy(from.join(name), &program)?;
        std::fs::File::options().append(true).open(&program)?.write_all(b"\0")?;
    }
    Ok(folder.display().to_string())
}

/// Somebody who looks at the console all the time.
struct Looking {
    looks: tokio::task::JoinHandle<()>,
    longest: std::sync::Arc<std::sync::Mutex<(u64, Duration)>>,
}

impl Looking {
    fn begin(client: Client) -> Self {
        let longest = std::sync::Arc::new(std::sync::Mutex::new((0, Duration::ZERO)));
        let shared = longest.clone();
        let looks = tokio::spawn(async move {
            let (mut last, mut ticks) = (Instant::now(), tokio::time::interval(LOOKS));
            loop {
                ticks.tick().await;
                if client.list("/api/v1/instances").await.is_ok() {
                    if let Ok(mut seen) = shared.lock() {
                        *seen = (seen.0 + 1, seen.1.max(last.elapsed()));
                    }
                    last = Instant::now();
                }
            }
        });
        Self { looks, longest }
    }

    /// Says for how long nothing was seen at most.
    async fn end(self) -> Result<()> {
        self.looks.abort();
        let (count, pause) = self.longest.lock().map_or((0, Duration::MAX), |seen| *seen);
        ensure!(count > 10, "the console was seen {count} times");
        say(&format!(
            "    the console was seen {count} times, at most {:.1} s apart",
            pause.as_secs_f64()
        ));
        Ok(())
    }
}

/// `upgrade` and `rollback` on three hosts with two copies of each service.
pub(super) async fn on_hosts() -> Result<()> {
    let rig = Rig::start("iot-rig-upgrade", 3).await?;
    let outcome = play(&rig).await;
    rig.remove().await?;
    outcome
}

async fn play(rig: &Rig) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let command = Command::new(folder.path(), rig, |config| config.copies = Some(2))?;
    command.ends(&built(&["up"]), 0, &["is up on 3 hosts"])?;
    let first = rig.hosts().first().context("a host")?;
    let release = rig.run(first, "readlink /var/lib/iot/releases/current").await?;
    let room = CountedRoom::begin(rig, first, folder.path(), ROOM).await?;
    Occurrences::prepare(room.admin()).await?;
    room.flows().await?;
    let looking = Looking::begin(room.admin().clone());
    let programs = admin::program()?;
    let others = other_programs(programs.parent().context("a folder")?, folder.path())?;
    for (arguments, same) in [
        (vec!["upgrade", "--programs", others.as_str()], false),
        (vec!["rollback"], true),
    ] {
        let due = Occurrences::plan(room.admin(), room.location(), 6, Duration::from_secs(10)).await?;
        let began = Instant::now();
        command.ends(&arguments, 0, &["is up on 3 hosts"])?;
        say(&format!(
            "    {}: {:.1} s",
            arguments.first().copied().unwrap_or_default(),
            began.elapsed().as_secs_f64()
        ));
        let now = rig.run(first, "readlink /var/lib/iot/releases/current").await?;
        ensure!((now == release) == same, "the release was {release}, and is {now}");
        due.end(room.admin()).await?;
        room.flows().await?;
    }
    looking.end().await?;
    command.settles().await?;
    room.end().await
}

//! Other programs, and the ones before again, while readings are sent, occurrences fall due and people look.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use common::config::SERVICES;
use serde_json::json;

use super::counted::CountedRoom;
use super::hosts::{Command, built};
use super::lifecycle::survive_under;
use super::occurrences::Occurrences;
use crate::client::Client;
use crate::rig::Rig;
use crate::site::{Plan, id};
use crate::stack::Stack;
use crate::{admin, say};

/// Time between two looks at the console.
const LOOKS: Duration = Duration::from_millis(100);
const ROOM: &str = "Room of other programs";

/// `upgrade` and `rollback` at 500 readings a second on one machine.
pub(super) async fn there_and_back(stack: &Stack) -> Result<()> {
    let traffic = Plan {
        sensors: 5,
        every_ms: 10,
        ..Plan::room(ROOM)
    };
    // One that reads hours of 500 readings a second would be the test.
    let task = format!("due-{}", crate::client::mark());
    stack
        .admin()
        .upload(super::path::task(&task, "print('due')\n")?)
        .await?;
    survive_under(stack, "other programs", traffic, async |stack| {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("config.json");
        std::fs::write(&file, serde_json::to_string(&crate::stack::config())?)?;
        let others = other_programs(&stack.installation().layout().current(), folder.path())?;
        let due = async |location: &str| {
            let every = Duration::from_secs(3);
            Occurrences::plan_of(stack.admin(), &task, json!({}), location, 6, every).await
        };
        let locations = stack.admin().list("/api/v1/locations").await?;
        let name = format!("{ROOM} {}", crate::client::mark());
        let room = locations.iter().find(|location| location["name"] == name.as_str());
        let location = id(room.context("the room")?)?;
        let (release, before) = (stack.installation().release(), pids(stack).await?);
        let looking = Looking::begin(stack.admin().clone());
        let during = due(&location).await?;
        run(&file, &["upgrade", "--programs", &others], "release")?;
        ensure!(stack.installation().release() != release, "the release is the same");
        let now = pids(stack).await?;
        let same: Vec<&String> = before
            .iter()
            .filter(|(name, pid)| now.get(*name) == Some(pid))
            .map(|(name, _)| name)
            .collect();
        ensure!(same.is_empty(), "{same:?} are the programs before");
        during.end(stack.admin()).await?;
        let during = due(&location).await?;
        run(&file, &["rollback"], "release")?;
        ensure!(stack.installation().release() == release, "another release");
        during.end(stack.admin()).await?;
        looking.end().await
    })
    .await
}

fn run(file: &Path, arguments: &[&str], word: &str) -> Result<()> {
    let began = Instant::now();
    let (code, said) = admin::run(file, arguments)?;
    ensure!(code == Some(0) && said.contains(word), "{arguments:?}: {code:?} {said}");
    let verb = arguments.first().copied().unwrap_or_default();
    say(&format!("    {verb}: {:.1} s", began.elapsed().as_secs_f64()));
    Ok(())
}

/// The process of each service.
async fn pids(stack: &Stack) -> Result<BTreeMap<String, u32>> {
    let mut found = BTreeMap::new();
    for name in SERVICES {
        found.insert(name.to_owned(), stack.pid(name).await?);
    }
    Ok(found)
}

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

/// The same on three hosts with two copies of each service.
pub(super) async fn on_hosts() -> Result<()> {
    let rig = Rig::start("iot-rig-upgrade", 3).await?;
    let outcome = play(&rig).await;
    rig.after(outcome).await
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

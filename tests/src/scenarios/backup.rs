//! A backup of three hosts; everything on them is deleted; they become what they were.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::counted::CountedRoom;
use super::hosts::{Command, built};
use crate::rig::{Rig, RigHost};
use crate::wait::until;

/// An image is built again before the application runs.
const PATIENCE: Duration = Duration::from_secs(180);

/// The whole story, and what `doctor` and `logs -f` say.
pub(super) async fn deleted_and_restored() -> Result<()> {
    let rig = Rig::start("iot-rig-backup", 3).await?;
    let outcome = play(&rig).await;
    rig.after(outcome).await
}

async fn play(rig: &Rig) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let command = Command::new(folder.path(), rig, |_| {})?;
    command.ends(&["doctor"], 0, &["ssh and sudo"])?;
    command.ends(&built(&["up"]), 0, &["is up on 3 hosts"])?;
    command.ends(
        &["doctor"],
        0,
        &["way to the others", "certificate between hosts", "scheduler"],
    )?;
    command.ends(
        &["--timeout", "5", "logs", "-f", "-n", "3", "scheduler"],
        1,
        &["service=scheduler"],
    )?;

    let console = rig.hosts().first().context("a host")?;
    let mut room = CountedRoom::begin(rig, console, folder.path(), "Room of a backup").await?;
    room.flows().await?;
    let count = room.pause().await?;
    saved(rig, console, count).await?;
    let archive = folder.path().join("backup.tar.gz").to_string_lossy().into_owned();
    command.ends(&["backup", &archive], 0, &[&archive])?;
    command.ends(
        &built(&["restore", &archive]),
        6,
        &["nothing was changed", "down --delete-data"],
    )?;
    command.ends(&["--no-input", "down", "--delete-data"], 2, &["--yes"])?;
    command.ends(&["down", "--delete-data", "--yes"], 0, &[])?;
    command.ends(&built(&["restore", &archive]), 0, &["is up on 3 hosts"])?;
    command.ends(&built(&["plan", "--detailed-exitcode"]), 0, &["nothing to do"])?;
    room.go_on().await?;
    room.counts_on(PATIENCE).await?;
    room.flows().await?;
    room.end().await
}

/// Waits until what the application counted is in the database: it saves its state within a second, and a backup has what is saved.
async fn saved(rig: &Rig, database: &RigHost, count: u64) -> Result<()> {
    let look = format!(
        r#"cd /; sql() {{ runuser -u postgres -- psql -h /var/lib/iot/run/postgresql -d ferretdb -Atqc "$1"; }}
table=$(sql "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables where tablename like 'sensor_manager_checkpoints%'")
sql "select count(*) from $table where _jsonb::text ~ 'count[^0-9a-z]+{count}[^0-9]'""#
    );
    until("the application's state is saved", Duration::from_secs(30), || async {
        let found = rig.run(database, &look).await?;
        ensure!(found.trim() == "1", "{found}");
        Ok(Some(()))
    })
    .await
}

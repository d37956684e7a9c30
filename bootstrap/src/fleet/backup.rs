//! A backup of an installation on many hosts, and hosts made from one.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use common::config::Role;
use futures_util::future::join_all;
use hosts::{Access as _, Remote, last_lines};
use tempfile::TempDir;

use super::Fleet;
use super::connection::{Problem, connect, failure};
use super::items::RESTORING;
use super::payload::{Backup, upload};
use super::secrets::without_kafka;
use crate::backup::{self, About};
use crate::command::{command, text};
use crate::failure::{Exit, Failure};
use crate::installation::Summary;
use crate::mongodb::Server;
use crate::postgresql;
use crate::progress::Reporter;

/// A database may be large, and the way to it slow.
const DUMPED: Duration = Duration::from_secs(3600);
const LIMIT: Duration = Duration::from_secs(60);

/// A backup that hosts are made from.
#[derive(Debug)]
pub(super) struct Restoring {
    /// Holds the files until all is done.
    _folder: TempDir,
    /// What it is.
    pub(super) backup: Backup,
    /// What each host said of its secrets.
    pub(super) said: Vec<(Ipv4Addr, String)>,
}

impl Fleet {
    /// Writes a backup of what there is now; everything goes on meanwhile.
    ///
    /// # Errors
    /// When a host cannot be asked, the database does not answer, or the disk is full; no file is left then.
    pub async fn backup(&self, archive: &Path) -> Result<About, Failure> {
        let again = self.resume("backup");
        let (accesses, away): (Vec<_>, Vec<_>) = connect(&self.inventory).await.into_iter().partition(Result::is_ok);
        let away: Vec<Problem> = away.into_iter().filter_map(Result::err).collect();
        if !away.is_empty() {
            return Err(failure(away, &again));
        }
        let accesses: Vec<_> = accesses.into_iter().flatten().collect();
        let about = About::now(&self.inventory.config, Server::Ferretdb);
        let folder = backup::beside(archive)?;
        let secrets = folder.path().join(backup::SECRETS);
        crate::files::create_dir(&secrets)?;
        let data = self.inventory.config.data_dir.display().to_string();
        let script = format!(
            "[ ! -e {} ] || {{ echo 'it is being made from a backup: run `restore` with that again first' >&2; exit 1; }}\n{}",
            self.mark(),
            super::secrets::script(&data)
        );
        let said = join_all(accesses.iter().map(|access| answered(access, &script))).await;
        let mut any = false;
        for (machine, said) in self.inventory.machines.iter().zip(said) {
            let said = said.map_err(|problem| failure(vec![problem], &again))?;
            any |= !said.trim().is_empty();
            crate::files::write(&secrets.join(machine.internal.to_string()), &said, 0o600)?;
        }
        if !any {
            return Err(Failure::new(
                Exit::Failed,
                "nothing is installed, so there is nothing to back up",
            ));
        }
        let database = self.inventory.machines.iter().zip(&accesses);
        let mut database = database.filter(|(machine, _)| machine.roles.contains(&Role::Mongodb));
        if let Some((_, access)) = database.next().filter(|_| about.has_database()) {
            let file = folder.path().join(backup::DATABASE);
            let script = postgresql::script(&self.on.layout);
            dump(access, &script, &file)
                .await
                .map_err(|problem| failure(vec![problem], &again))?;
            postgresql::is_dump(&file)?;
        }
        backup::pack(&about, folder.path(), archive).await?;
        Ok(about)
    }

    /// Makes hosts without anything what a backup has, and brings everything up. Interrupted, it goes on when it is run again.
    ///
    /// # Errors
    /// When it is no backup of this installation, or hosts have data (nothing was changed then); else as `up`.
    pub async fn restore(&mut self, archive: &Path, reporter: &dyn Reporter) -> Result<Summary, Failure> {
        self.fills_the_database()?;
        let refused = |error: anyhow::Error| Failure::new(Exit::Usage, format!("{error:#}"));
        let about = About::of(archive).await.map_err(refused)?;
        about.suits(&self.inventory.config).map_err(refused)?;
        self.restoring = Some(Restoring::unpack(archive).await?);
        reporter.says(&format!("the hosts become what the backup of {} has", about.made));
        let summary = self.up(reporter).await?;
        self.is_made().await?;
        Ok(summary)
    }

    /// Takes the marks away. Where one stays, `up` refuses, and `restore` goes on here.
    async fn is_made(&self) -> Result<(), Failure> {
        let mark = format!("rm -f {}", self.mark());
        let mut problems = Vec::new();
        for connected in connect(&self.inventory).await {
            let outcome = match connected {
                Ok(access) => answered(&access, &mark).await.map(drop),
                Err(problem) => Err(problem),
            };
            problems.extend(outcome.err());
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(failure(problems, &self.resume("restore")))
    }

    fn mark(&self) -> String {
        self.inventory.config.data_dir.join(RESTORING).display().to_string()
    }
}

/// What a host says to a script that must end well.
async fn answered(access: &Remote, script: &str) -> Result<String, Problem> {
    let answer = access.root(script, LIMIT).await?;
    if answer.succeeded() {
        return Ok(answer.stdout);
    }
    Err(Problem {
        exit: Exit::Failed,
        // Not of what it said besides: that may be secrets.
        message: format!("{}: {}", access.host(), last_lines(&answer.stderr, 5).join(" / ")),
    })
}

impl Fleet {
    /// Services begin with the database that they find, so it must be there before them.
    fn fills_the_database(&self) -> Result<(), Failure> {
        if !self.inventory.config.has_replica_set() {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Usage,
            "`restore` fills one server, not a replica set (mongodb.replication); use `mongorestore` on the members, with services stopped",
        ))
    }
}

/// Writes the database to a file here. The script comes from here, too: that of an earlier release on the host cannot do it.
async fn dump(access: &Remote, script: &str, file: &Path) -> Result<(), Problem> {
    let failed = |message: String| Problem {
        exit: Exit::Failed,
        message,
    };
    let mut written =
        std::fs::File::create(file).map_err(|error| failed(format!("could not write {}: {error}", file.display())))?;
    let mut take = |bytes: &[u8]| std::io::Write::write_all(&mut written, bytes);
    let script = format!(
        "cd /; runuser -u {} -- bash -s dump <<'END-OF-SCRIPT'\n{script}\nEND-OF-SCRIPT\n",
        postgresql::ACCOUNT
    );
    let answer = access.root_taking(&script, DUMPED, &mut take).await?;
    if answer.succeeded() {
        return Ok(());
    }
    let words = answer.last_lines(5).join(" / ");
    Err(failed(format!(
        "{}: the database could not be read: {words}",
        access.host()
    )))
}

impl Restoring {
    async fn unpack(archive: &Path) -> Result<Self> {
        let folder = backup::beside(archive)?;
        let mut tar = command("tar", ["-xzf"]);
        tar.arg(archive).arg("--no-same-owner").arg("-C").arg(folder.path());
        text(tar).await?;
        let database = folder.path().join(backup::DATABASE);
        let dump = database.is_file().then(|| upload(&database)).transpose()?;
        let about = About::of(archive).await?;
        ensure!(
            about.has_database() == dump.is_some(),
            "the backup says that it has {} database: it is damaged, take another one",
            if about.has_database() { "a" } else { "no" }
        );
        if dump.is_some() {
            postgresql::is_readable(&database).await?;
        }
        let id = upload(archive)?.sha256;
        let mut said = Vec::new();
        let entries = std::fs::read_dir(folder.path().join(backup::SECRETS)).context("the backup has no secrets")?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let host = name
                .parse()
                .with_context(|| format!("the backup has secrets of `{name}`, which is no host"))?;
            said.push((host, without_kafka(&std::fs::read_to_string(entry.path())?)));
        }
        Ok(Self {
            _folder: folder,
            backup: Backup { id, dump },
            said,
        })
    }
}

//! A copy of what cannot be made again, in one archive: the database, which has the bundles, and the secrets.
//!
//! Kafka is not in it. Services tell compacted topics once more from the database when they find themselves beside another Kafka
//! than before; readings that are in no application's saved state yet, and commands that are under way at the moment of the backup, are lost.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use common::config::{Config, Mode};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::command::{command, find, text, to_file};
use crate::failure::{Exit, Failure};
use crate::files;
use crate::installation::{Installation, lock};
use crate::layout::Layout;
use crate::mongodb::Server;
use crate::postgresql;
use crate::progress::Reporter;
use crate::restore::under_way;
use crate::settings::database;

/// What this program writes and reads.
const LAYOUT: u32 = 1;
/// What the archive says about itself.
pub(crate) const ABOUT: &str = "backup.json";
/// The database, as its own tool writes it.
pub(crate) const DATABASE: &str = "database";
/// The folder of secrets.
pub(crate) const SECRETS: &str = "secrets";

/// What a backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    layout: u32,
    /// Of which installation it is.
    pub installation: String,
    /// When it was made.
    pub made: String,
    /// Whether of hosts that are reached over SSH.
    hosts: bool,
    /// What served the MongoDB protocol; none: somebody else's, which is not in the backup.
    pub(crate) database: Option<Server>,
}

impl About {
    /// Of now.
    pub(crate) fn now(config: &Config, server: Server) -> Self {
        Self {
            layout: LAYOUT,
            installation: config.name.clone(),
            hosts: config.is_remote(),
            made: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            database: keeps_database(config).then_some(server),
        }
    }

    /// What an archive says about itself.
    ///
    /// # Errors
    /// When it is no backup, or one of a later release.
    pub async fn of(archive: &Path) -> Result<Self> {
        ensure!(archive.is_file(), "there is no file {}", archive.display());
        let mut unpack = command("tar", ["-xzOf"]);
        unpack.arg(archive).arg(format!("./{ABOUT}"));
        let said = text(unpack).await;
        let about = said.and_then(|said| Ok(serde_json::from_str::<Self>(&said)?));
        let about = about.with_context(|| format!("{} is not a backup of this platform", archive.display()))?;
        ensure!(
            about.layout == LAYOUT,
            "{} has layout {}, this release reads {LAYOUT}; use the release that made it, or a newer one",
            archive.display(),
            about.layout
        );
        Ok(about)
    }

    /// Whether the database is in it.
    #[must_use]
    pub fn has_database(&self) -> bool {
        self.database.is_some()
    }

    /// Whether it can be restored as what `config.json` names.
    ///
    /// # Errors
    /// What is in the way.
    pub(crate) fn suits(&self, config: &Config) -> Result<()> {
        ensure!(
            self.installation == config.name,
            "this is a backup of `{}`, config.json names the installation `{}`: set `name`",
            self.installation,
            config.name
        );
        ensure!(
            self.hosts == config.is_remote(),
            "this is a backup of {}, and config.json names {}",
            place(self.hosts),
            place(config.is_remote())
        );
        ensure!(
            config.kafka.mode == Mode::Managed,
            "a backup needs a new Kafka beside it, and config.json names one that somebody else runs (`kafka.mode`)"
        );
        ensure!(
            self.database.is_some() == keeps_database(config),
            "the database of this backup is {}, and that of config.json is {} (`mongodb`)",
            own(self.database.is_some()),
            own(keeps_database(config))
        );
        Ok(())
    }
}

/// Whether a backup has the database: a replica set is copied by MongoDB's own tools, as one that somebody else runs.
fn keeps_database(config: &Config) -> bool {
    config.mongodb.mode == Mode::Managed && !config.has_replica_set()
}

fn place(hosts: bool) -> &'static str {
    if hosts {
        "hosts that are reached over SSH"
    } else {
        "one machine"
    }
}

fn own(managed: bool) -> &'static str {
    if managed {
        "one server of the platform"
    } else {
        "one that somebody else runs, or a replica set, and is not in backups"
    }
}

impl Installation {
    /// Writes a backup of what there is now; everything goes on meanwhile.
    ///
    /// # Errors
    /// When nothing is installed, the database does not answer, or the disk is full; no file is left then.
    pub async fn backup(&self, archive: &Path, reporter: &dyn Reporter) -> Result<About, Failure> {
        let refused = |why: &str| Err(Failure::new(Exit::Failed, why));
        if !self.layout.marker().exists() {
            return refused("nothing is installed, so there is nothing to back up");
        }
        // New passwords that are half written, or half a database, would be no backup.
        let _lock = lock(reporter).await?;
        if under_way(&self.layout) {
            return refused("a restore was interrupted: finish it first, `up` goes on with it");
        }
        let server = self.server().await;
        let about = About::now(&self.config, server);
        let folder = beside(archive)?;
        if about.database.is_some() {
            dump(&self.config, &self.layout, server, &folder.path().join(DATABASE)).await?;
        }
        files::copy_tree(&self.layout.secrets(), &folder.path().join(SECRETS))?;
        pack(&about, folder.path(), archive).await?;
        Ok(about)
    }
}

/// A folder on the disk where the archive goes: a database may be too large for others.
pub(crate) fn beside(archive: &Path) -> Result<TempDir> {
    let folder = archive.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    tempfile::tempdir_in(folder).with_context(|| format!("could not write into {}", folder.display()))
}

/// Packs a folder with what it says about itself; only whoever made it may read the archive.
pub(crate) async fn pack(about: &About, folder: &Path, archive: &Path) -> Result<()> {
    files::write(&folder.join(ABOUT), &serde_json::to_string_pretty(about)?, 0o600)?;
    let mut unfinished = archive.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let outcome = async {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options
            .open(&unfinished)
            .with_context(|| format!("could not write {}", unfinished.display()))?;
        let mut tar = command("tar", ["-czf"]);
        tar.arg(&unfinished).arg("-C").arg(folder).arg(".");
        text(tar).await?;
        std::fs::rename(&unfinished, archive).with_context(|| format!("could not write {}", archive.display()))
    }
    .await;
    if outcome.is_err() && std::fs::remove_file(&unfinished).is_err() {
        // It may never have been there.
    }
    outcome
}

/// Writes the database to a file: of PostgreSQL as of one moment, of `mongod` while it goes on.
async fn dump(config: &Config, layout: &Layout, server: Server, file: &Path) -> Result<()> {
    let dumping = match server {
        Server::Ferretdb => postgresql::dump(layout)?,
        Server::Mongod => mongo_tool("mongodump", config, &[format!("--db={}", database(&config.name))])?,
    };
    to_file(dumping, file)
        .await
        .context("could not read the database; is the installation up?")?;
    match server {
        Server::Ferretdb => postgresql::is_dump(file),
        Server::Mongod => Ok(()),
    }
}

/// A tool of MongoDB that works on an archive.
pub(crate) fn mongo_tool(tool: &str, config: &Config, options: &[String]) -> Result<tokio::process::Command> {
    let Some(program) = find(tool) else {
        bail!("{tool} is not installed; install MongoDB's package `mongodb-database-tools`")
    };
    let mut command = command(program, ["--archive", "--gzip", "--quiet"]);
    command.arg(format!("--port={}", config.ports.mongodb)).args(options);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_archive_says_what_it_is_and_only_suits_its_installation() {
        let folder = tempfile::tempdir().unwrap();
        let (content, archive) = (folder.path().join("content"), folder.path().join("backup.tar.gz"));
        std::fs::create_dir_all(content.join(SECRETS)).unwrap();
        let config = Config::default();
        let about = About::now(&config, Server::Ferretdb);
        pack(&about, &content, &archive).await.unwrap();
        assert_eq!(About::of(&archive).await.unwrap(), about);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&archive).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);

        about.suits(&config).unwrap();
        let other = Config::parse(r#"{"name": "other"}"#).unwrap();
        let refused = about.suits(&other).unwrap_err().to_string();
        assert!(refused.contains("`iot`") && refused.contains("`other`"), "{refused}");
        let hosts = Config::parse(r#"{"hosts": [{"connection": "ssh", "address": "192.0.2.1"}]}"#).unwrap();
        assert!(about.suits(&hosts).unwrap_err().to_string().contains("one machine"));
        let external = Config::parse(r#"{"kafka": {"mode": "external", "brokers": "k:9092"}}"#).unwrap();
        assert!(about.suits(&external).unwrap_err().to_string().contains("kafka.mode"));

        std::fs::write(&archive, "something else").unwrap();
        let refused = format!("{:#}", About::of(&archive).await.unwrap_err());
        assert!(refused.contains("not a backup"), "{refused}");
        assert!(About::of(&folder.path().join("none")).await.is_err());
    }

    #[tokio::test]
    async fn what_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let content = folder.path().join("content");
        std::fs::create_dir_all(&content).unwrap();
        // A folder is in the way.
        let archive = folder.path().join("backup.tar.gz");
        std::fs::create_dir_all(archive.join("x")).unwrap();
        let about = About::now(&Config::default(), Server::Ferretdb);
        assert!(pack(&about, &content, &archive).await.is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}

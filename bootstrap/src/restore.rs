//! Bringing back what a backup has: what is here gives way to it.
//!
//! The archive is unpacked into the data folder first. From then on every `up` finishes what was begun, wherever it was interrupted.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use common::config::Mode;

use crate::backup::{self, About, mongo_tool};
use crate::command::{command, from_file, text, wait_until};
use crate::failure::{Exit, Failure};
use crate::installation::{Choices, Installation, Summary, lock};
use crate::layout::Layout;
use crate::mongodb::Server;
use crate::progress::Reporter;
use crate::settings::database;
use crate::{files, kafka, mongodb, postgresql, probe};

/// Where a backup is unpacked, and removed.
const UNFINISHED: &str = "restore.unfinished";
/// Where one is removed that another takes the place of.
const GIVEN_UP: &str = "restore.given-up";
/// Says that what was here has given way.
const EMPTIED: &str = "emptied";
/// How long the server of the database may take to answer again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(60);

/// Where a backup lies that is being restored.
fn folder(layout: &Layout) -> PathBuf {
    layout.part("restore")
}

/// Whether a restore is under way.
pub(crate) fn under_way(layout: &Layout) -> bool {
    folder(layout).exists() || layout.part(GIVEN_UP).exists()
}

/// Whether a folder holds nothing but a backup that was not unpacked as a whole.
pub(crate) fn holds_nothing_else(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.flatten().all(|entry| entry.file_name() == UNFINISHED)
}

/// Removes a backup that was not unpacked as a whole: there are secrets in it.
pub(crate) fn forget_unfinished(layout: &Layout) -> Result<()> {
    remove(&layout.part(UNFINISHED))
}

/// Ends what an interruption left between two backups: one that gave way before the other took its place is back.
fn settle(layout: &Layout) -> Result<()> {
    let (folder, given_up) = (folder(layout), layout.part(GIVEN_UP));
    if folder.exists() || !given_up.exists() {
        return remove(&given_up);
    }
    std::fs::rename(&given_up, &folder).with_context(|| format!("could not take {} back", given_up.display()))
}

impl Installation {
    /// Whether something is installed that would give way to a backup.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.layout.marker().exists()
    }

    /// Replaces everything of this installation by what a backup has, and brings it up.
    ///
    /// # Errors
    /// When it is no backup of this installation (nothing was changed then), or a step fails: `up` goes on.
    pub async fn restore(&self, archive: &Path, reporter: &dyn Reporter) -> Result<Summary, Failure> {
        let refused = |error: anyhow::Error| Failure::new(Exit::Usage, format!("{error:#}"));
        let about = About::of(archive).await.map_err(refused)?;
        about.suits(&self.config).map_err(refused)?;
        if let (Some(found), Some(wanted)) = (self.choices(), about.database)
            && found.mongodb != wanted
        {
            let message = "the database of this backup was served by another program than the one here; restore it into a new `data_dir`";
            return Err(Failure::new(Exit::Usage, message));
        }
        self.preflight().await?;
        {
            let _lock = lock(reporter).await?;
            let unpacked = unpack(self, archive, &about).await;
            if unpacked.is_err() {
                forget_unfinished(&self.layout)?;
            }
            unpacked?;
        }
        reporter.says(&format!("the backup of {} replaces what is here", about.made));
        self.up(reporter).await
    }
}

/// Unpacks the archive; it is there as a whole or not at all.
async fn unpack(on: &Installation, archive: &Path, about: &About) -> Result<()> {
    let (folder, unfinished) = (folder(&on.layout), on.layout.part(UNFINISHED));
    files::create_dir(on.layout.data_dir())?;
    remove(&unfinished)?;
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
        .create(&unfinished)
        .with_context(|| format!("could not create {}", unfinished.display()))?;
    let mut tar = command("tar", ["-xzf"]);
    tar.arg(archive).arg("--no-same-owner").arg("-C").arg(&unfinished);
    text(tar).await?;
    match about.database {
        Some(Server::Ferretdb) => postgresql::is_readable(&unfinished.join(backup::DATABASE)).await?,
        Some(Server::Mongod) => drop(mongo_tool("mongorestore", &on.config, &[])?),
        None => {}
    }
    files::write(&on.layout.marker(), &format!("{}\n", on.config.name), 0o644)?;
    // One that was interrupted gives way only now, at once: half of it would be taken for a backup that is still to be restored.
    settle(&on.layout)?;
    let given_up = on.layout.part(GIVEN_UP);
    if folder.exists() {
        std::fs::rename(&folder, &given_up).with_context(|| format!("could not put {} aside", folder.display()))?;
    }
    std::fs::rename(&unfinished, &folder).with_context(|| format!("could not make {}", folder.display()))?;
    remove(&given_up)
}

fn remove(path: &Path) -> Result<()> {
    if path.is_dir() {
        std::fs::remove_dir_all(path).with_context(|| format!("could not remove {}", path.display()))
    } else if path.exists() {
        std::fs::remove_file(path).with_context(|| format!("could not remove {}", path.display()))
    } else {
        Ok(())
    }
}

/// Lets what is here give way to a backup that is being restored.
pub(crate) async fn empty(on: &Installation, reporter: &dyn Reporter) -> Result<()> {
    let (layout, from) = (&on.layout, folder(&on.layout));
    forget_unfinished(layout)?;
    settle(layout)?;
    if !from.exists() || from.join(EMPTIED).exists() {
        return Ok(());
    }
    let about = std::fs::read_to_string(from.join(backup::ABOUT)).context("could not read the backup")?;
    let about: About = serde_json::from_str(&about).context("could not read the backup")?;
    on.down(reporter).await?;
    for gone in kafka::state(layout).iter().chain(&databases(layout)) {
        remove(gone)?;
    }
    remove(&layout.secrets())?;
    files::copy_tree(&from.join(backup::SECRETS), &layout.secrets())?;
    // Its account may not be there yet: the step `secrets` sees that they are not its own, and gives them to it.
    std::fs::set_permissions(layout.secrets(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .context("could not change the folder of secrets")?;
    if let (None, Some(mongodb)) = (on.choices(), about.database) {
        on.keep(Choices { mongodb, subnet: None })?;
    }
    files::write(&layout.restored(), &format!("{}\n", about.made), 0o644)?;
    files::write(&from.join(EMPTIED), "", 0o600).map(drop)
}

fn databases(layout: &Layout) -> [PathBuf; 2] {
    [postgresql::data(layout), mongodb::data(layout)]
}

/// Fills the database, and forgets the backup.
pub(crate) async fn fill(on: &Installation) -> Result<()> {
    let dump = folder(&on.layout).join(backup::DATABASE);
    if on.config.mongodb.mode == Mode::Managed {
        match on.server().await {
            Server::Ferretdb => {
                postgresql::fill(&on.layout, &dump).await?;
                // It remembers collections of the database that was there.
                on.supervisor().restart(&["ferretdb".to_owned()]).await?;
            }
            Server::Mongod => {
                let options = [
                    "--drop".to_owned(),
                    format!("--nsInclude={}.*", database(&on.config.name)),
                ];
                from_file(mongo_tool("mongorestore", &on.config, &options)?, &dump).await?;
            }
        }
        let port = on.config.ports.mongodb;
        anyhow::ensure!(
            wait_until(AGAIN, async || probe::mongodb(port).await).await,
            "the database did not answer again within {} s",
            AGAIN.as_secs()
        );
    }
    // At once: half of it would be taken for a backup that is still to be restored.
    let gone = on.layout.part(UNFINISHED);
    remove(&gone)?;
    std::fs::rename(folder(&on.layout), &gone).context("could not put the backup aside")?;
    remove(&gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wherever_a_second_backup_was_interrupted_one_of_both_is_there() {
        let cases = [
            (None, None, None),
            (Some("new"), None, Some("new")),
            (None, Some("old"), Some("old")),
            (Some("new"), Some("old"), Some("new")),
        ];
        for (there, aside, expected) in cases {
            let data = tempfile::tempdir().unwrap();
            let layout = Layout::new(data.path(), data.path());
            for (place, which) in [(folder(&layout), there), (layout.part(GIVEN_UP), aside)] {
                if let Some(which) = which {
                    std::fs::create_dir(&place).unwrap();
                    std::fs::write(place.join(which), "").unwrap();
                }
            }
            assert_eq!(under_way(&layout), expected.is_some());
            settle(&layout).unwrap();
            let left = std::fs::read_dir(folder(&layout)).ok().map(|mut entries| {
                let entry = entries.next().unwrap().unwrap();
                entry.file_name().into_string().unwrap()
            });
            assert_eq!(left.as_deref(), expected, "{there:?} {aside:?}");
            assert!(!layout.part(GIVEN_UP).exists());
        }
    }

    #[test]
    fn a_backup_that_was_not_unpacked_as_a_whole_is_in_nobodys_way() {
        let data = tempfile::tempdir().unwrap();
        let layout = Layout::new(data.path(), data.path());
        assert!(holds_nothing_else(data.path()));
        assert!(holds_nothing_else(&data.path().join("absent")));
        std::fs::create_dir(layout.part(UNFINISHED)).unwrap();
        assert!(holds_nothing_else(data.path()));
        std::fs::write(data.path().join("of somebody"), "").unwrap();
        assert!(!holds_nothing_else(data.path()));
        forget_unfinished(&layout).unwrap();
        assert!(!layout.part(UNFINISHED).exists());
    }
}

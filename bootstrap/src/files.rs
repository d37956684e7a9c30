//! Files that `bootstrap` writes: only when they differ, whole or not at all.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::command;

/// Whether the file holds exactly this.
pub(crate) fn holds(path: &Path, content: &str) -> bool {
    std::fs::read(path).is_ok_and(|found| found == content.as_bytes())
}

/// Writes the file if it differs; tells whether it did.
pub(crate) fn write(path: &Path, content: &str, mode: u32) -> Result<bool> {
    if holds(path, content) {
        return Ok(false);
    }
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    let create = || {
        // What was left behind may be readable by others.
        std::fs::remove_file(temporary).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        options.open(temporary)?.write_all(content.as_bytes())
    };
    create()
        .and_then(|()| std::fs::set_permissions(temporary, std::fs::Permissions::from_mode(mode)))
        .and_then(|()| std::fs::rename(temporary, path))
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(true)
}

/// Creates a folder and those above it.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("could not create {}", path.display()))
}

/// Whether a folder and all files in it belong to one account, and nobody else may read them.
pub(crate) fn is_private(folder: &Path) -> bool {
    let Ok(own) = std::fs::metadata(folder) else {
        return false;
    };
    let private = |found: &std::fs::Metadata| found.uid() == own.uid() && found.permissions().mode() & 0o077 == 0;
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    private(&own)
        && entries
            .flatten()
            .all(|entry| entry.metadata().is_ok_and(|found| private(&found)))
}

/// Gives a folder and all in it to an account, and lets nobody else in.
pub(crate) async fn keep_private(path: &Path, account: &str) -> Result<()> {
    give(path, account).await?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
        .with_context(|| format!("could not protect {}", path.display()))
}

/// Gives a folder and all in it to an account.
pub(crate) async fn give(path: &Path, account: &str) -> Result<()> {
    let owner = format!("{account}:{account}");
    command::text(command::command(
        "chown",
        ["-R".as_ref(), owner.as_ref(), path.as_os_str()],
    ))
    .await
    .map(drop)
}

/// SHA-256 of some bytes, shortened to what names need.
pub(crate) fn fingerprint(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize()).chars().take(16).collect()
}

/// When anything under a folder was last changed, without the folders named.
pub(crate) fn newest(folder: &Path, without: &[&str]) -> Option<SystemTime> {
    let mut newest = None;
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            if without.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                open.push(entry.path());
            } else {
                newest = newest.max(metadata.modified().ok());
            }
        }
    }
    newest
}

/// Content of every file under a folder, sorted by path, as one fingerprint.
pub(crate) fn tree_fingerprint(folder: &Path) -> String {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(content) = std::fs::read(&path) {
                let name = path
                    .strip_prefix(folder)
                    .unwrap_or(&path)
                    .to_string_lossy()
                    .into_owned();
                files.push((name, content));
            }
        }
    }
    files.sort();
    let parts: Vec<&[u8]> = files
        .iter()
        .flat_map(|(name, content)| [name.as_bytes(), content.as_slice()])
        .collect();
    fingerprint(&parts)
}

/// Copies a folder with everything in it, except what a build leaves.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    create_dir(to)?;
    let entries = std::fs::read_dir(from).with_context(|| format!("could not read {}", from.display()))?;
    for entry in entries.flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "__pycache__" || entry.file_name() == ".git" {
            continue;
        }
        if source.is_dir() {
            copy_tree(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).with_context(|| format!("could not copy {}", source.display()))?;
        }
    }
    Ok(())
}

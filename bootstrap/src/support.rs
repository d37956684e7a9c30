//! What somebody who helps from afar wants to see, in one archive: no secrets, no readings.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use common::config::Config;

use crate::command::{command, tail, text};
use crate::installation::Installation;

/// Lines of each log.
pub(crate) const LINES: u32 = 2000;

/// Files by the path that they have in the archive.
pub type Evidence = BTreeMap<String, String>;

/// What a machine says about itself; each line by itself, whatever is missing.
pub(crate) const MACHINE: &str = "for ask in 'uname -a' 'cat /etc/os-release' 'date -Is' 'uptime' 'df -h' 'free -m' 'docker version' 'docker info' \
'docker node ls' 'docker service ls' 'docker ps -a' 'timedatectl status'; do echo \"== $ask\"; timeout 5 $ask 2>&1 || true; done";

/// The configuration as it was understood, without what a connection string holds beside addresses.
pub(crate) fn configuration(config: &Config) -> Result<String> {
    let mut shown = config.clone();
    shown.mongodb.uri = shown.mongodb.uri.as_deref().map(without_secrets);
    Ok(serde_json::to_string_pretty(&shown)? + "\n")
}

/// `scheme://user:password@host/database?options` as `scheme://…@host/database?…`.
fn without_secrets(uri: &str) -> String {
    let (address, options) = uri.split_once('?').map_or((uri, ""), |(address, _)| (address, "?…"));
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{options}"),
        None => format!("{address}{options}"),
    }
}

/// Writes an archive.
///
/// # Errors
/// When `tar` is missing, or the disk is full.
pub async fn pack(evidence: &Evidence, archive: &Path) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    for (name, content) in evidence {
        let path = folder.path().join("support").join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("could not create {}", parent.display()))?;
        }
        std::fs::write(&path, content).with_context(|| format!("could not write {}", path.display()))?;
    }
    let mut tar = command("tar", ["-czf"]);
    tar.arg(archive).arg("-C").arg(folder.path()).arg("support");
    text(tar).await.map(drop)
}

/// What was said, or why nothing was: that is worth seeing, too.
pub(crate) fn told(said: Result<String, impl std::fmt::Display>) -> String {
    said.unwrap_or_else(|error| format!("{error:#}\n"))
}

impl Installation {
    /// What there is to see of this installation.
    ///
    /// # Errors
    /// When the configuration cannot be written down.
    pub async fn evidence(&self) -> Result<Evidence> {
        let mut evidence = Evidence::from([
            ("config.json".to_owned(), configuration(&self.config)?),
            (
                "status.txt".to_owned(),
                told(self.status().await.map(|status| status.to_string())),
            ),
            (
                "machine.txt".to_owned(),
                told(text(command("sh", ["-c", MACHINE])).await),
            ),
        ]);
        for entry in std::fs::read_dir(self.layout.logs()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".log") {
                let lines = tail(&entry.path(), LINES as usize);
                evidence.insert(format!("logs/{name}"), lines.join("\n") + "\n");
            }
        }
        Ok(evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_archive_has_no_passwords() {
        let config = Config::parse(
            r#"{"mongodb": {"mode": "external", "uri": "mongodb+srv://iot:s@cret@db.example.org/iot?password=secret"}}"#,
        )
        .unwrap();
        let shown = configuration(&config).unwrap();
        assert!(shown.contains("\"mongodb+srv://…@db.example.org/iot?…\""), "{shown}");
        assert!(!shown.contains("@cret") && !shown.contains("=secret"), "{shown}");

        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("support.tar.gz");
        let evidence = Evidence::from([
            ("config.json".to_owned(), shown),
            ("one/journal.txt".to_owned(), "a line\n".to_owned()),
        ]);
        pack(&evidence, &archive).await.unwrap();
        let mut list = command("tar", ["-tzf"]);
        list.arg(&archive);
        let listed = text(list).await.unwrap();
        assert!(listed.contains("support/one/journal.txt"), "{listed}");
    }
}

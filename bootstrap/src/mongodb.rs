//! Which MongoDB: a `mongod` that the package manager can install, else FerretDB. Chosen once.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use common::config::Config;
use serde::{Deserialize, Serialize};

use crate::command::{command, find, text};
use crate::layout::{Layout, account};
use crate::supervisor::Program;
use crate::{files, tools};

/// What serves the MongoDB protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Server {
    /// A real MongoDB.
    Mongod,
    /// FerretDB on PostgreSQL, behind its write gate.
    Ferretdb,
}

/// What the driver speaks with and MongoDB still maintains.
const OLDEST: [u32; 2] = [6, 0];

/// Packages that bring a `mongod`, best first.
const PACKAGES: [&str; 2] = ["mongodb-org-server", "mongodb-server"];

/// Chooses for a machine.
pub(crate) async fn choose() -> Server {
    if find("mongod").is_some() || package().await.is_some() {
        Server::Mongod
    } else {
        Server::Ferretdb
    }
}

/// The package that can be installed, if there is one.
pub(crate) async fn package() -> Option<&'static str> {
    for package in PACKAGES {
        let policy = text(command("apt-cache", ["policy", package]))
            .await
            .unwrap_or_default();
        if has_candidate(&policy) {
            return Some(package);
        }
    }
    None
}

fn has_candidate(policy: &str) -> bool {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate:"))
        .and_then(tools::package_version)
        .is_some_and(|version| version >= OLDEST)
}

/// Where `mongod` keeps its data.
pub(crate) fn data(layout: &Layout) -> PathBuf {
    layout.part("mongodb")
}

/// Whether `mongod`'s data folder is there.
pub(crate) fn present(layout: &Layout) -> bool {
    data(layout).exists()
}

/// Makes it.
pub(crate) async fn make(config: &Config, layout: &Layout) -> Result<()> {
    files::create_dir(&data(layout))?;
    files::keep_private(&data(layout), &account(&config.name)).await
}

/// How `mongod` is run.
pub(crate) fn program(config: &Config, layout: &Layout) -> Result<Program> {
    let mongod = find("mongod").context("mongod is not installed")?;
    Ok(mongod_program(config, &mongod, &data(layout)))
}

fn mongod_program(config: &Config, mongod: &Path, data: &Path) -> Program {
    let port = config.ports.mongodb;
    let command = format!(
        "{} --dbpath {} --bind_ip 127.0.0.1 --port {port} --nounixsocket",
        mongod.display(),
        data.display()
    );
    let mut program = Program::new("mongodb", &command);
    program.account = Some(account(&config.name));
    program.priority = 100;
    program.stop_wait_seconds = 60;
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_candidate_is_none() {
        assert!(!has_candidate(
            "mongodb-server:\n  Installed: (none)\n  Candidate: (none)\n"
        ));
        assert!(!has_candidate(""));
        assert!(!has_candidate("mongodb-server:\n  Candidate: 1:3.6.9+really3.6.8\n"));
        assert!(has_candidate(
            "mongodb-org-server:\n  Installed: (none)\n  Candidate: 8.0.4\n"
        ));
    }
}

//! FerretDB behind its write gate: a small Go program that is built once per machine.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use common::config::Config;

use crate::accounts::{self, Passwords};
use crate::files;
use crate::go_program::FERRETDB;
use crate::layout::{Layout, account};
use crate::postgresql;
use crate::settings::database;
use crate::supervisor::Program;

fn installed(layout: &Layout) -> PathBuf {
    layout.part("ferretdb").join(FERRETDB.version(layout)).join("ferretdb")
}

/// Whether this machine has a built program, so that no Go is needed.
pub(crate) fn is_cached(layout: &Layout) -> bool {
    FERRETDB.is_cached(layout) || installed(layout).exists()
}

/// The accounts and what they may do, among the secrets.
pub(crate) const ACCOUNTS: &str = "ferretdb-accounts";

fn users(layout: &Layout) -> PathBuf {
    layout.secrets().join(ACCOUNTS)
}

fn wanted_users(config: &Config, passwords: &Passwords) -> String {
    accounts::mongodb(&database(&config.name), passwords)
}

/// Whether the program is installed and knows its accounts.
pub(crate) fn present(config: &Config, layout: &Layout) -> bool {
    let users_known =
        Passwords::read(layout).is_ok_and(|passwords| files::holds(&users(layout), &wanted_users(config, &passwords)));
    installed(layout).exists() && layout.run("ferretdb").exists() && users_known
}

/// Builds and installs it.
pub(crate) async fn make(config: &Config, layout: &Layout, log: &Path) -> Result<()> {
    let installed = installed(layout);
    if !installed.exists() {
        let cached = FERRETDB.build(layout, log).await?;
        let folder = installed.parent().context("no folder")?;
        files::create_dir(folder)?;
        let temporary = folder.join("new");
        std::fs::copy(&cached, &temporary)
            .and_then(|_| std::fs::rename(&temporary, &installed))
            .with_context(|| format!("could not install {}", installed.display()))?;
    }
    files::write(&users(layout), &wanted_users(config, &Passwords::read(layout)?), 0o600)?;
    files::keep_private(&layout.secrets(), &account(&config.name)).await?;
    let run = layout.run("ferretdb");
    files::create_dir(&run)?;
    files::keep_private(&run, &account(&config.name)).await
}

/// How it is run.
pub(crate) fn program(config: &Config, layout: &Layout, passwords: &Passwords) -> Program {
    let command = format!(
        "{} -listen 127.0.0.1:{} -users {} -run-dir {} -postgresql {}",
        installed(layout).display(),
        config.ports.mongodb,
        users(layout).display(),
        layout.run("ferretdb").display(),
        postgresql::url(layout)
    );
    let mut program = Program::new("ferretdb", &command);
    program.account = Some(account(&config.name));
    program.priority = 100;
    program.fingerprint = files::fingerprint(&[wanted_users(config, passwords).as_bytes()]);
    program
}

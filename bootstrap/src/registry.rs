//! The registry of application images: Debian's `docker-registry` on loopback.

use anyhow::{Result, bail};
use common::config::Config;

use crate::command::find;
use crate::files;
use crate::layout::{Layout, account};
use crate::supervisor::Program;

/// Where it listens on one machine.
const LOOPBACK: &str = "127.0.0.1";

/// Its settings.
pub(crate) fn render(config: &Config, layout: &Layout, address: &str) -> String {
    format!(
        "\
# Written by bootstrap; changes are lost at the next `up`.
version: 0.1
log:
  level: warn
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {}
  delete:
    enabled: true
http:
  addr: {address}:{}
",
        layout.part("registry").display(),
        config.ports.registry
    )
}

fn path(layout: &Layout) -> std::path::PathBuf {
    layout.etc().join("registry.yml")
}

/// Whether its settings and folder are there.
pub(crate) fn present(config: &Config, layout: &Layout) -> bool {
    files::holds(&path(layout), &render(config, layout, LOOPBACK)) && layout.part("registry").exists()
}

/// Makes them.
pub(crate) async fn make(config: &Config, layout: &Layout) -> Result<()> {
    files::create_dir(&layout.part("registry"))?;
    files::keep_private(&layout.part("registry"), &account(&config.name)).await?;
    files::write(&path(layout), &render(config, layout, LOOPBACK), 0o644).map(drop)
}

/// How it is run.
pub(crate) fn program(config: &Config, layout: &Layout) -> Result<Program> {
    let Some(registry) = find("docker-registry") else {
        bail!("docker-registry is not installed")
    };
    let mut program = Program::new(
        "registry",
        &format!("{} serve {}", registry.display(), path(layout).display()),
    );
    program.account = Some(account(&config.name));
    program.priority = 100;
    program.fingerprint = files::fingerprint(&[render(config, layout, LOOPBACK).as_bytes()]);
    Ok(program)
}

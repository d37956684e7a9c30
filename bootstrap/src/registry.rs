//! The registry of application images: on one machine Debian's `docker-registry` on loopback, on hosts over SSH one of `deploy/registry`.

use anyhow::{Result, bail};
use common::config::Config;

use crate::accounts::{self, Passwords};
use crate::command::find;
use crate::files;
use crate::layout::{Layout, account};
use crate::supervisor::Program;

/// Where it listens on one machine, and where every Engine asks for it.
const LOOPBACK: &str = "127.0.0.1";

/// Its address, as every Engine knows it: on other hosts the node agent answers there, and forwards.
pub(crate) fn address(config: &Config) -> String {
    format!("{LOOPBACK}:{}", config.ports.registry)
}

/// Its settings.
pub(crate) fn render(config: &Config, layout: &Layout, address: &str, certificate: Option<&str>) -> String {
    let tls = certificate.map_or_else(String::new, |path| {
        format!("  tls:\n    certificate: {path}\n    key: {path}\n")
    });
    format!(
        "\
# Written by bootstrap; changes are lost at the next `up`.
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {}
  delete:
    enabled: true
auth:
  htpasswd:
    realm: registry
    path: {}
http:
  addr: {address}:{}
  relativeurls: true
{tls}",
        layout.part("registry").display(),
        layout.secrets().join(ACCOUNTS).display(),
        config.ports.registry
    )
}

/// Who may sign in, among the secrets.
pub(crate) const ACCOUNTS: &str = "registry.htpasswd";

fn path(layout: &Layout) -> std::path::PathBuf {
    layout.etc().join("registry.yml")
}

/// Whether its settings and folder are there.
pub(crate) fn present(config: &Config, layout: &Layout) -> bool {
    let accounts = Passwords::read(layout).and_then(|passwords| accounts::registry(&passwords));
    files::holds(&path(layout), &render(config, layout, LOOPBACK, None))
        && accounts.is_ok_and(|accounts| files::holds(&layout.secrets().join(ACCOUNTS), &accounts))
        && layout.part("registry").exists()
}

/// Makes them.
pub(crate) async fn make(config: &Config, layout: &Layout) -> Result<()> {
    files::create_dir(&layout.part("registry"))?;
    files::keep_private(&layout.part("registry"), &account(&config.name)).await?;
    let accounts = accounts::registry(&Passwords::read(layout)?)?;
    files::write(&layout.secrets().join(ACCOUNTS), &accounts, 0o600)?;
    files::keep_private(&layout.secrets(), &account(&config.name)).await?;
    files::write(&path(layout), &render(config, layout, LOOPBACK, None), 0o644).map(drop)
}

/// How it is run.
pub(crate) fn program(config: &Config, layout: &Layout, passwords: &Passwords) -> Result<Program> {
    let Some(registry) = find("docker-registry") else {
        bail!("docker-registry is not installed")
    };
    let mut program = Program::new(
        "registry",
        &format!("{} serve {}", registry.display(), path(layout).display()),
    );
    program.account = Some(account(&config.name));
    program.priority = 100;
    let settings = render(config, layout, LOOPBACK, None);
    program.fingerprint = files::fingerprint(&[settings.as_bytes(), accounts::registry(passwords)?.as_bytes()]);
    Ok(program)
}

//! Folders of an installation on this machine, the account that runs its services, and what is chosen once.

use anyhow::{Context as _, Result};

use crate::command::{command, succeeds, text};
use crate::files;
use crate::installation::Installation;
use crate::layout::account;

/// Whether all of it is there.
pub(crate) async fn present(on: &Installation) -> bool {
    on.layout.marker().exists() && on.layout.part("uploads").exists() && on.choices().is_some() && has_account(on).await
}

/// Makes what is missing.
pub(crate) async fn make(on: &Installation) -> Result<()> {
    files::create_dir(on.layout.data_dir())?;
    files::write(&on.layout.marker(), &format!("{}\n", on.config.name), 0o644)?;
    for folder in [on.layout.etc(), on.layout.logs(), on.layout.releases()] {
        files::create_dir(&folder)?;
    }
    if !has_account(on).await {
        let account = account(&on.config.name);
        text(command(
            "useradd",
            [
                "--system",
                "--user-group",
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
                "--shell",
                "/usr/sbin/nologin",
                &account,
            ],
        ))
        .await
        .context("could not make the account that runs the services")?;
    }
    // The services' own account may write here and nowhere else outside the databases.
    let uploads = on.layout.part("uploads");
    files::create_dir(&uploads)?;
    files::keep_private(&uploads, &account(&on.config.name)).await?;
    on.choose().await.map(drop)
}

async fn has_account(on: &Installation) -> bool {
    succeeds(command("id", ["-u", &account(&on.config.name)])).await
}

//! The console's files, which the application manager embeds.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::command::logged;
use crate::layout::Layout;
use crate::{files, tools};

/// Whether there is nothing to build: what is built is newer than every source.
pub(crate) fn present(layout: &Layout) -> bool {
    let folder = layout.console();
    if !folder.join("package.json").exists() {
        return true;
    }
    let built = std::fs::metadata(folder.join("dist/index.html"))
        .and_then(|file| file.modified())
        .ok();
    built.is_some()
        && built
            >= files::newest(
                &folder,
                &["node_modules", "dist", "screenshots", "test-results", "coverage"],
            )
}

/// Builds it.
pub(crate) async fn make(layout: &Layout, log: &Path) -> Result<()> {
    let folder = layout.console();
    let installed = modified(&folder.join("node_modules/.package-lock.json"));
    if installed.is_none() || installed < modified(&folder.join("package-lock.json")) {
        let mut install = tools::node("npm");
        install.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder);
        logged(install, log)
            .await
            .context("could not install the console's packages")?;
    }
    let mut build = tools::node("npm");
    build.args(["run", "build"]).current_dir(&folder);
    logged(build, log).await.context("could not build the console")
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path).and_then(|file| file.modified()).ok()
}

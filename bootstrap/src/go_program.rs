//! Programs in Go that are built once per machine.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::logged;
use crate::layout::Layout;
use crate::{engine, files, tools};

/// One of them; its sources are a folder of `deploy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GoProgram(&'static str);

/// FerretDB behind its write gate.
pub(crate) const FERRETDB: GoProgram = GoProgram("ferretdb");
/// The registry of application images, for hosts over SSH: not every distribution has a package of it.
pub(crate) const REGISTRY: GoProgram = GoProgram("registry");

impl GoProgram {
    fn sources(self, layout: &Layout) -> PathBuf {
        layout.deploy().join(self.0)
    }

    /// Another one when the sources change.
    pub(crate) fn version(self, layout: &Layout) -> String {
        files::tree_fingerprint(&self.sources(layout))
    }

    /// The built program in the machine-wide cache.
    fn cached(self, layout: &Layout) -> PathBuf {
        Layout::cache().join(format!("{}-{}", self.0, self.version(layout)))
    }

    /// Whether this machine has built it, so that no Go is needed.
    pub(crate) fn is_cached(self, layout: &Layout) -> bool {
        self.cached(layout).exists()
    }

    /// Builds it, unless this machine's cache has it, and returns where it is.
    pub(crate) async fn build(self, layout: &Layout, log: &Path) -> Result<PathBuf> {
        let cached = self.cached(layout);
        engine::cache()?;
        if !cached.exists() {
            let temporary = cached.with_extension("new");
            let mut build = tools::go()?;
            build
                .args(["build", "-trimpath", "-ldflags=-s -w", "-o"])
                .arg(&temporary)
                .arg(".");
            // It runs beside older C libraries than this machine's.
            build.env("CGO_ENABLED", "0").current_dir(self.sources(layout));
            logged(build, log)
                .await
                .with_context(|| format!("could not build deploy/{}", self.0))?;
            std::fs::rename(&temporary, &cached).with_context(|| format!("could not keep {}", cached.display()))?;
        }
        Ok(cached)
    }
}

//! What a test needs of the distribution beyond what the platform itself needs.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Installs a package.
///
/// # Errors
/// When there is no `apt-get`, or it does not succeed.
pub fn install(package: &str) -> Result<()> {
    for arguments in [
        &["-q", "update"][..],
        &["-q", "install", "-y", "--no-install-recommends", package],
    ] {
        let status = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .with_context(|| {
                format!("{package} is not here, and no apt-get to install it; install it for the tests")
            })?;
        ensure!(status.success(), "apt-get {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

//! Running programs of this machine.

use std::ffi::OsStr;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// Runs a program without input and returns what it wrote to standard output, trimmed.
pub(super) async fn text<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = command
        .output()
        .await
        .with_context(|| format!("could not run {program}"))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(said);
    }
    let wrong = String::from_utf8_lossy(&output.stderr);
    bail!(
        "{:?} ended with {}: {}",
        command.as_std(),
        output.status,
        last_lines(&format!("{said}\n{wrong}"))
    )
}

/// Runs the Docker client.
pub(super) async fn docker<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<String> {
    text("docker", arguments).await
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].join(" / ")
}

//! Running other programs: their output as text, or into a log file.

use std::ffi::OsStr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hosts::last_lines;
use tokio::process::Command;

/// A program with arguments, without input.
pub(crate) fn command<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs it and returns what it wrote to standard output, trimmed.
pub(crate) async fn text(mut command: Command) -> Result<String> {
    let output = command
        .output()
        .await
        .with_context(|| format!("could not run {}", shown(&command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    bail!(
        "`{}` ended with {}: {}",
        shown(&command),
        output.status,
        last_lines(&error, 5).join(" / ")
    )
}

/// Runs it with its output in a file that only this account may read.
pub(crate) async fn to_file(mut command: Command, path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = options
        .open(path)
        .with_context(|| format!("could not write {}", path.display()))?;
    command.stdout(file);
    well(command).await
}

/// Runs it with a file as its input.
pub(crate) async fn from_file(mut command: Command, path: &Path) -> Result<()> {
    let file = std::fs::File::open(path).with_context(|| format!("could not read {}", path.display()))?;
    command.stdin(file).stdout(Stdio::null());
    well(command).await
}

/// Runs it; what it complained of is in the error.
async fn well(mut command: Command) -> Result<()> {
    let name = shown(&command);
    let running = command
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not run {name}"))?;
    let output = running
        .wait_with_output()
        .await
        .with_context(|| format!("could not wait for {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    bail!(
        "`{name}` ended with {}: {}",
        output.status,
        last_lines(&error, 5).join(" / ")
    )
}

/// Runs it and tells whether it succeeded; a program that is not there did not.
pub(crate) async fn succeeds(mut command: Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    status.is_ok_and(|status| status.success())
}

/// Runs it with both outputs appended to a log file.
pub(crate) async fn logged(mut command: Command, log: &Path) -> Result<()> {
    let file = open_log(log)?;
    let error = file.try_clone().context("could not share the log file")?;
    let status = command
        .stdout(file)
        .stderr(error)
        .status()
        .await
        .with_context(|| format!("could not run {}", shown(&command)))?;
    if status.success() {
        return Ok(());
    }
    bail!("`{}` ended with {status}; see {}", shown(&command), log.display())
}

fn open_log(log: &Path) -> Result<std::fs::File> {
    if let Some(parent) = log.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("could not create {}", parent.display()))?;
    }
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("could not open {}", log.display()))
}

/// The last lines of a file; none when it cannot be read. Longer ones than 4 KiB are rare enough to make them fewer.
pub(crate) fn tail(path: &Path, count: usize) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let from = bytes.len().saturating_sub(count.saturating_mul(4096));
    last_lines(&String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()), count)
}

fn shown(command: &Command) -> String {
    let command = command.as_std();
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// Where a program is, on the path or where administrators' programs are.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Asks until the answer is yes; tells whether it ever was.
pub(crate) async fn wait_until(limit: Duration, mut ask: impl AsyncFnMut() -> bool) -> bool {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        if ask().await {
            return true;
        }
        if tokio::time::Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

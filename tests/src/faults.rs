//! What goes wrong on purpose. Only processes of the test installation are touched, by id.

use std::process::Command;

use anyhow::{Result, ensure};

/// Sends SIGKILL.
///
/// # Errors
/// When there is no such process.
pub fn kill(pid: u32) -> Result<()> {
    signal(pid, "KILL")
}

/// Sends a signal.
///
/// # Errors
/// When there is no such process.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    ensure!(pid > 1, "refusing to signal process {pid}");
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status()?;
    ensure!(status.success(), "could not send {name} to process {pid}");
    Ok(())
}

/// Returns the children of a process and their children, deepest last.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() {
        let path = format!("/proc/{0}/task/{0}/children", found[next]);
        let children = std::fs::read_to_string(path).unwrap_or_default();
        found.extend(
            children
                .split_whitespace()
                .filter_map(|child| child.parse::<u32>().ok()),
        );
        next += 1;
    }
    found
}

/// Runs the Docker client.
///
/// # Errors
/// When it fails; its words are in the error.
pub fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "docker {} failed: {said}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

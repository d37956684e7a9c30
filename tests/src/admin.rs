//! The admin's command as a person runs it: the program, its output, its exit code.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Returns where `bootstrap` was built: beside the programs that run these tests.
///
/// # Errors
/// When it is not there.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("bootstrap"))
        .find(|path| path.is_file());
    found.with_context(|| format!("no `bootstrap` beside {}", own.display()))
}

/// Runs it on a configuration; returns its exit code and all that it said.
///
/// # Errors
/// When it can not be run.
pub fn run(config: &Path, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output = Command::new(program()?)
        .arg("--config")
        .arg(config)
        .args(arguments)
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

/// Runs it until it has told as much of its progress as is wanted, and kills it as `kill -9` does; returns the last line.
///
/// # Errors
/// When it can not be run.
pub async fn killed(config: &Path, arguments: &[&str], mut enough: impl FnMut(&str) -> bool) -> Result<String> {
    let mut process = tokio::process::Command::new(program()?)
        .arg("--config")
        .arg(config)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(process.stdout.take().context("its output")?).lines();
    let mut last = String::new();
    while let Some(line) = lines.next_line().await? {
        let ends = enough(&line);
        last = line;
        if ends {
            break;
        }
    }
    process.kill().await?;
    Ok(last)
}

//! Processes of an installation, found by the variable that its supervisor gives to all of them.

use std::path::Path;
use std::time::Duration;

use crate::command::{command, succeeds, wait_until};
use crate::supervisor::OWNER;

/// Whether a process runs (and is not a zombie).
pub(crate) fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Whether a process belongs to the supervisor with this folder.
pub(crate) fn is_owned(pid: u32, supervisor: &Path) -> bool {
    let wanted = format!("{OWNER}={}", supervisor.display());
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable == wanted.as_bytes())
}

/// Every process id.
pub(crate) fn all() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn owned(supervisor: &Path) -> Vec<u32> {
    let own = std::process::id();
    all()
        .into_iter()
        .filter(|pid| *pid != own && alive(*pid) && is_owned(*pid, supervisor))
        .collect()
}

/// Ends what a killed supervisor left running.
pub(crate) async fn end_owned(supervisor: &Path) {
    for (signal, seconds) in [("-TERM", 10), ("-KILL", 5)] {
        let left = owned(supervisor);
        if left.is_empty() {
            return;
        }
        let mut kill = command("kill", [signal]);
        kill.args(left.iter().map(ToString::to_string));
        succeeds(kill).await;
        wait_until(Duration::from_secs(seconds), async || owned(supervisor).is_empty()).await;
    }
}

/// Resident memory of one process in KiB.
pub(crate) fn resident_kib(pid: u32) -> Option<u64> {
    field(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:")
}

/// Memory of a process and those below it in KiB, shared pages counted once.
pub(crate) fn tree_kib(pid: u32) -> Option<u64> {
    let children = children(pid).into_iter().filter_map(tree_kib).sum::<u64>();
    let own = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    field(&own, "Pss:").map(|own| own + children)
}

fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

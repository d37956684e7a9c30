//! What must hold before anything is started: root, disk, memory, ports.

use std::path::{Path, PathBuf};

use common::config::Config;

use crate::command::{command, text};
use crate::layout::Layout;
use crate::{listeners, processes, restore};

const DISK_MIB: u64 = 5 * 1024;
const MEMORY_MIB: u64 = 2 * 1024;

/// What was found on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whether this process is root.
    pub(crate) root: bool,
    /// Free MiB where the data goes.
    pub(crate) disk_free_mib: Option<u64>,
    /// MiB of memory.
    pub(crate) memory_mib: Option<u64>,
    /// Ports held by something else: JSON path of ours, port, by whom.
    pub(crate) taken: Vec<(&'static str, u16, String)>,
    /// A folder with something else in it, or of an installation with another name.
    pub(crate) foreign_data: Option<String>,
}

/// What stands in the way, each with what to do.
pub(crate) fn problems(found: &Found, data_dir: &Path) -> Vec<String> {
    if !found.root {
        // Without root nothing else can be seen rightly.
        return vec!["this command needs root; run it again with sudo".to_owned()];
    }
    let mut problems = Vec::new();
    if let Some(free) = found.disk_free_mib.filter(|free| *free < DISK_MIB) {
        let dir = data_dir.display();
        problems.push(format!(
            "{dir} has {free} MiB free, {DISK_MIB} MiB are needed; free some space, or set `data_dir` in config.json to a larger disk"
        ));
    }
    if let Some(memory) = found.memory_mib.filter(|memory| *memory < MEMORY_MIB) {
        problems.push(format!(
            "this machine has {memory} MiB of memory, {MEMORY_MIB} MiB are needed; use a larger one"
        ));
    }
    for (at, port, holder) in &found.taken {
        problems.push(format!(
            "port {port} is taken by {holder}; stop that, or set `{at}` in config.json to a free port"
        ));
    }
    problems.extend(found.foreign_data.clone());
    problems
}

/// Looks at the machine.
pub(crate) async fn look(config: &Config, layout: &Layout) -> Found {
    Found {
        root: is_root(),
        disk_free_mib: disk_free_mib(layout.data_dir()).await,
        memory_mib: memory_mib(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        taken: taken(config, layout),
        foreign_data: foreign_data(config, layout),
    }
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uids.and_then(|uids| uids.split_whitespace().nth(1)) == Some("0")
}

async fn disk_free_mib(data_dir: &Path) -> Option<u64> {
    let there: PathBuf = data_dir.ancestors().find(|folder| folder.exists())?.to_owned();
    let shown = text(command("df", ["-P".as_ref(), "-k".as_ref(), there.as_os_str()]))
        .await
        .ok()?;
    let kib: u64 = shown.lines().last()?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kib / 1024)
}

fn memory_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

fn taken(config: &Config, layout: &Layout) -> Vec<(&'static str, u16, String)> {
    let listening = listeners::listening();
    let wanted = config.all_ports();
    let mut holders = None;
    let mut taken = Vec::new();
    for (at, port) in wanted {
        for listener in listening
            .iter()
            .filter(|listener| listener.port == port && listener.local)
        {
            let holders = holders.get_or_insert_with(listeners::holders);
            match listener.holder(holders) {
                Some(holder) if processes::is_owned(holder.pid, &layout.supervisor()) => {}
                Some(holder) => taken.push((at, port, format!("{} (process {})", holder.program, holder.pid))),
                None => taken.push((at, port, "another process".to_owned())),
            }
        }
    }
    taken.dedup();
    taken
}

fn foreign_data(config: &Config, layout: &Layout) -> Option<String> {
    let dir = layout.data_dir().display();
    match std::fs::read_to_string(layout.marker()) {
        Ok(owner) if owner.trim() == config.name => None,
        Ok(owner) => Some(format!(
            "{dir} belongs to the installation `{}`, config.json names `{}`; set another `data_dir`, or `name` back",
            owner.trim(),
            config.name
        )),
        Err(_) => (!restore::holds_nothing_else(layout.data_dir()))
            .then(|| format!("{dir} holds something else; set `data_dir` in config.json to an empty or new folder")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Found {
        Found {
            root: true,
            disk_free_mib: Some(9000),
            memory_mib: Some(8000),
            taken: Vec::new(),
            foreign_data: None,
        }
    }

    #[test]
    fn each_problem_says_what_to_do() {
        let dir = Path::new("/var/lib/iot");
        assert!(problems(&good(), dir).is_empty());
        let table = [
            (Found { root: false, ..good() }, "sudo"),
            (
                Found {
                    disk_free_mib: Some(100),
                    ..good()
                },
                "100 MiB free",
            ),
            (
                Found {
                    memory_mib: Some(512),
                    ..good()
                },
                "512 MiB of memory",
            ),
            (
                Found {
                    taken: vec![("console.port", 80, "nginx (process 7)".to_owned())],
                    ..good()
                },
                "port 80 is taken by nginx (process 7); stop that, or set `console.port`",
            ),
        ];
        for (found, expected) in table {
            let problems = problems(&found, dir);
            assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
        }
    }

    #[test]
    fn memory_is_read() {
        assert_eq!(memory_mib("MemTotal:        4096000 kB\nMemFree: 1 kB\n"), Some(4000));
    }
}

//! The supervisor that keeps programs running: Debian's `supervisor`, one per installation, controlled over a socket.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::command::{command, text, wait_until};
use crate::{files, processes};

/// Variable in the environment of every program: whose it is.
pub(crate) const OWNER: &str = "PLATFORM_INSTALLATION";

/// A program to keep running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// Name in the supervisor and of its log.
    pub(crate) name: String,
    /// Command line.
    pub(crate) command: String,
    /// Account; absent: root.
    pub(crate) account: Option<String>,
    /// Environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Low starts first and stops last.
    pub(crate) priority: u16,
    /// Signal that asks it to stop.
    pub(crate) stop_signal: &'static str,
    /// How long it may take to stop.
    pub(crate) stop_wait_seconds: u16,
    /// Changes when the program or its settings do, so that the supervisor restarts it.
    pub(crate) fingerprint: String,
}

impl Program {
    pub(crate) fn new(name: &str, command: &str) -> Self {
        Self {
            name: name.to_owned(),
            command: command.to_owned(),
            account: None,
            environment: BTreeMap::new(),
            priority: 500,
            stop_signal: "TERM",
            stop_wait_seconds: 15,
            fingerprint: String::new(),
        }
    }
}

/// State of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramState {
    /// Whether it runs.
    pub(crate) running: bool,
    /// The supervisor's word for its state.
    pub(crate) word: String,
    /// Process id.
    pub(crate) pid: Option<u32>,
    /// How long it has run, as the supervisor writes it.
    pub(crate) uptime: Option<String>,
}

/// A supervisor with its folder.
#[derive(Debug, Clone)]
pub(crate) struct Supervisor {
    folder: PathBuf,
    logs: PathBuf,
}

impl Supervisor {
    pub(crate) fn new(folder: &Path, logs: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            logs: logs.to_owned(),
        }
    }

    fn config(&self) -> PathBuf {
        self.folder.join("supervisord.conf")
    }

    fn programs(&self, group: &str) -> PathBuf {
        self.folder.join("conf.d").join(format!("{group}.conf"))
    }

    /// Its own log.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("supervisord.log")
    }

    fn control(&self, args: &[&str]) -> tokio::process::Command {
        let mut control = command("supervisorctl", ["-c".as_ref(), self.config().as_os_str()]);
        control.args(args);
        control
    }

    /// Process id of the supervisor, when it answers.
    pub(crate) async fn pid(&self) -> Option<u32> {
        if !self.folder.join("supervisor.sock").exists() {
            return None;
        }
        text(self.control(&["pid"])).await.ok()?.trim().parse().ok()
    }

    /// Starts it, without programs, unless it runs.
    pub(crate) async fn start(&self) -> Result<()> {
        if self.pid().await.is_some() {
            return Ok(());
        }
        files::create_dir(&self.folder.join("conf.d"))?;
        files::create_dir(&self.logs)?;
        for old in std::fs::read_dir(self.folder.join("conf.d"))
            .into_iter()
            .flatten()
            .flatten()
        {
            std::fs::remove_file(old.path()).context("could not remove an old list of programs")?;
        }
        // A supervisor that was killed leaves its programs behind.
        processes::end_owned(&self.folder).await;
        files::write(
            &self.config(),
            &render_main(&self.folder, &self.logs, open_files()),
            0o600,
        )?;
        let mut start = command("supervisord", ["-c".as_ref(), self.config().as_os_str()]);
        let path = std::env::var("PATH").unwrap_or_default();
        start
            .env_clear()
            .env("PATH", path)
            .env("LANG", "C.UTF-8")
            .env("HOME", "/root")
            .current_dir("/");
        text(start).await.context("could not start the supervisor")?;
        if wait_until(Duration::from_secs(10), async || self.pid().await.is_some()).await {
            return Ok(());
        }
        bail!(
            "the supervisor did not answer within 10 s; see {}",
            self.log().display()
        )
    }

    /// Whether a group of programs is exactly this, and taken: a command may have been ended between the two.
    pub(crate) async fn has(&self, group: &str, programs: &[Program]) -> bool {
        files::holds(&self.programs(group), &render_programs(programs, &self.logs))
            && text(self.control(&["reread"]))
                .await
                .is_ok_and(|said| said.contains("No config updates"))
    }

    /// Makes a group of programs exactly this: starts new ones, restarts changed ones, stops those that are gone.
    pub(crate) async fn apply(&self, group: &str, programs: &[Program]) -> Result<()> {
        files::write(&self.programs(group), &render_programs(programs, &self.logs), 0o600)?;
        text(self.control(&["update"]))
            .await
            .context("the supervisor did not take the list of programs")?;
        for (name, state) in self.states().await? {
            if !state.running && programs.iter().any(|program| program.name == name) {
                text(self.control(&["start", &name]))
                    .await
                    .with_context(|| format!("could not start {name}"))?;
            }
        }
        Ok(())
    }

    /// State of every program.
    pub(crate) async fn states(&self) -> Result<BTreeMap<String, ProgramState>> {
        // It ends with 3 when a program does not run, which is an answer.
        let output = self
            .control(&["status"])
            .output()
            .await
            .context("could not run supervisorctl")?;
        Ok(parse_status(&String::from_utf8_lossy(&output.stdout)))
    }

    /// How often each program ended by itself, as far back as the supervisor's log goes.
    pub(crate) fn restarts(&self) -> BTreeMap<String, usize> {
        count_exits(&std::fs::read_to_string(self.log()).unwrap_or_default())
    }

    /// Restarts programs; all when none is named.
    pub(crate) async fn restart(&self, programs: &[String]) -> Result<()> {
        let mut control = self.control(&["restart"]);
        control.args(programs);
        text(control).await.map(drop)
    }

    /// Stops every program and the supervisor.
    pub(crate) async fn shutdown(&self) -> Result<bool> {
        let Some(pid) = self.pid().await else {
            processes::end_owned(&self.folder).await;
            return Ok(false);
        };
        text(self.control(&["shutdown"])).await?;
        let gone = wait_until(Duration::from_secs(120), async || !processes::alive(pid)).await;
        if !gone {
            bail!(
                "the supervisor (process {pid}) did not stop within 120 s; see {}",
                self.log().display()
            );
        }
        processes::end_owned(&self.folder).await;
        Ok(true)
    }
}

/// How many files programs may open: plenty, or what this environment allows.
fn open_files() -> u32 {
    allowed_files(&std::fs::read_to_string("/proc/self/limits").unwrap_or_default())
        .unwrap_or(u32::MAX)
        .min(65_536)
}

/// The hard limit in `/proc/self/limits`; absent when unlimited.
fn allowed_files(limits: &str) -> Option<u32> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn render_main(folder: &Path, logs: &Path, open_files: u32) -> String {
    let (folder, logs) = (folder.display(), logs.display());
    format!(
        "\
; Written by bootstrap; changes are lost at the next `up`.
[unix_http_server]
file={folder}/supervisor.sock
chmod=0700

[supervisord]
logfile={folder}/supervisord.log
logfile_maxbytes=10MB
logfile_backups=3
pidfile={folder}/supervisord.pid
childlogdir={logs}
minfds={open_files}
environment={OWNER}=\"{folder}\"

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{folder}/supervisor.sock

[include]
files={folder}/conf.d/*.conf
"
    )
}

/// The supervisor's description of programs.
pub(crate) fn render_programs(programs: &[Program], logs: &Path) -> String {
    let mut text = "; Written by bootstrap; changes are lost at the next `up`.\n".to_owned();
    for program in programs {
        let mut environment = program.environment.clone();
        if !program.fingerprint.is_empty() {
            environment.insert("PLATFORM_FINGERPRINT".to_owned(), program.fingerprint.clone());
        }
        let environment: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
            .collect();
        let account = program
            .account
            .as_ref()
            .map(|account| format!("user={account}\n"))
            .unwrap_or_default();
        let written = write!(
            text,
            "
[program:{name}]
command={command}
{account}priority={priority}
environment={environment}
autostart=true
autorestart=true
startsecs=0
stopsignal={signal}
stopwaitsecs={wait}
killasgroup=true
redirect_stderr=true
stdout_logfile={logs}/{name}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=3
",
            name = program.name,
            command = escape(&program.command),
            priority = program.priority,
            environment = environment.join(","),
            signal = program.stop_signal,
            wait = program.stop_wait_seconds,
            logs = logs.display(),
        );
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
    text
}

/// `%` begins a placeholder in the supervisor's files.
fn escape(text: &str) -> String {
    text.replace('%', "%%")
}

fn parse_status(text: &str) -> BTreeMap<String, ProgramState> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, word) = (words.next()?, words.next()?);
            if name.ends_with(':') || word.chars().any(|letter| !letter.is_ascii_uppercase()) {
                return None;
            }
            let rest: Vec<&str> = words.collect();
            let (pid, uptime) = match rest.as_slice() {
                ["pid", pid, "uptime", uptime @ ..] => (pid.trim_end_matches(',').parse().ok(), Some(uptime.join(" "))),
                _ => (None, None),
            };
            let state = ProgramState {
                running: word == "RUNNING",
                word: word.to_lowercase(),
                pid,
                uptime,
            };
            Some((name.to_owned(), state))
        })
        .collect()
}

fn count_exits(log: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in log.lines() {
        let name = line
            .split_once("exited: ")
            .and_then(|(_, rest)| rest.split_whitespace().next());
        if let Some(name) = name {
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read() {
        let text = "kafka    RUNNING   pid 812, uptime 1 day, 0:01:02\nscheduler   BACKOFF   Exited too quickly\nx: ERROR (no such process)\nunix:///x no such file\n";
        let states = parse_status(text);
        assert_eq!(states.len(), 2);
        assert_eq!(states["kafka"].pid, Some(812));
        assert_eq!(states["kafka"].uptime.as_deref(), Some("1 day, 0:01:02"));
        assert!(!states["scheduler"].running);
    }

    #[test]
    fn exits_are_counted() {
        let log = "INFO spawned: 'a' with pid 1\nWARN exited: a (exit status 1; not expected)\nINFO exited: b (terminated by SIGKILL; not expected)\nWARN exited: a (x)\nINFO stopped: c (terminated by SIGTERM)\n";
        let counts = count_exits(log);
        assert_eq!(
            (counts.get("a"), counts.get("b"), counts.get("c")),
            (Some(&2), Some(&1), None)
        );
    }

    #[test]
    fn the_hard_limit_is_read() {
        let limits = "Max open files            1024                 20000                files     \n";
        assert_eq!(allowed_files(limits), Some(20000));
        assert_eq!(allowed_files("Max open files  unlimited unlimited files"), None);
    }

    #[test]
    fn main_file() {
        insta::assert_snapshot!(render_main(
            Path::new("/var/lib/iot/supervisor"),
            Path::new("/var/lib/iot/logs"),
            65_536
        ));
    }
}

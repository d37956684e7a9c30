//! Smaller commands for many hosts: logs, restart, and getting to know the keys of hosts.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::config::SERVICES;
use futures_util::future::join_all;
use hosts::ssh::{HostKey, SshError, host_key, learn};
use hosts::{Access as _, Remote, quote};

use super::Fleet;
use super::connection::{Problem, connect, failure};
use super::locking::Locks;
use crate::failure::{Exit, Failure};
use crate::support::{self, Evidence};

const LIMIT: Duration = Duration::from_secs(60);
/// Longer than anybody watches.
const ENDLESS: Duration = Duration::from_secs(365 * 24 * 3600);
/// What a host may run beside the services.
const BESIDE: [&str; 6] = ["agent", "kafka", "postgresql", "ferretdb", "mongodb", "registry"];

/// Everything that a host may run.
fn all_programs() -> impl Iterator<Item = &'static str> {
    SERVICES.into_iter().chain(BESIDE)
}

/// Which lines of logs are wanted.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// A program; absent: all.
    pub program: Option<String>,
    /// The newest so many, of each host.
    pub count: u32,
    /// Since when, as journalctl understands it.
    pub since: Option<String>,
    /// Only lines with this text.
    pub containing: Option<String>,
}

/// Makes lines of pieces.
#[derive(Debug, Default)]
struct Pieces {
    rest: Vec<u8>,
}

impl Pieces {
    fn take(&mut self, piece: &[u8], mut line: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        self.rest.extend_from_slice(piece);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(());
        };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        String::from_utf8_lossy(&whole).lines().try_for_each(&mut line)
    }
}

/// What is known of a host's key.
#[derive(Debug)]
pub enum Acquaintance {
    /// The key that is known was shown.
    Known(String),
    /// Nothing is known; this was shown.
    New(Box<HostKey>),
    /// Another one than the one that is known, or none was shown.
    Wrong(SshError),
}

/// A program that hosts may run; another name would go into a shell of root.
///
/// # Errors
/// When there is none of that name.
pub(crate) fn known(program: Option<&str>) -> Result<(), Failure> {
    match program.filter(|program| !all_programs().any(|known| known == *program)) {
        None => Ok(()),
        Some(program) => {
            let all: Vec<&str> = all_programs().collect();
            let message = format!("there is no program `{program}`; allowed: {}", all.join(", "));
            Err(Failure::new(Exit::Usage, message))
        }
    }
}

/// Runs a script on a host; returns its name with what it printed.
async fn said(access: &Remote, verb: &str, script: &str) -> Result<(String, String), Problem> {
    let answer = access.root(script, LIMIT).await?;
    if answer.succeeded() {
        return Ok((access.host().to_owned(), answer.stdout));
    }
    Err(Problem {
        exit: Exit::Failed,
        message: format!("{}: {verb}: {}", access.host(), answer.last_lines(5).join(" / ")),
    })
}

impl Fleet {
    /// Lines of logs by host, oldest first, of one host or all.
    ///
    /// # Errors
    /// What went wrong, on which hosts, with what the others said.
    pub async fn logs(
        &self,
        only: Option<&str>,
        wanted: &Lines,
    ) -> Result<(BTreeMap<String, String>, Option<Failure>), Failure> {
        known(wanted.program.as_deref())?;
        let script = self.logs_script(wanted);
        self.everywhere(only, "logs", &script).await
    }

    /// What there is to see of this installation, on the hosts that answer.
    ///
    /// # Errors
    /// When no host answers.
    pub async fn evidence(&self) -> Result<Evidence, Failure> {
        let mut evidence = Evidence::from([("config.json".to_owned(), support::configuration(&self.on.config)?)]);
        let status = self.status().await.map(|(status, away)| {
            let away = away.map(|away| away.to_string()).unwrap_or_default();
            format!("{status}\n{away}")
        });
        evidence.insert("status.txt".to_owned(), support::told(status));
        let journals = all_programs().map(|program| {
            let lines = Lines {
                program: Some(program.to_owned()),
                count: support::LINES,
                ..Lines::default()
            };
            (format!("logs/{program}.log"), self.logs_script(&lines))
        });
        let machine = ("machine.txt".to_owned(), support::MACHINE.to_owned());
        for (name, script) in std::iter::once(machine).chain(journals) {
            let (told, away) = self.everywhere(None, "support-bundle", &script).await?;
            evidence.extend(told.into_iter().map(|(host, said)| (format!("{host}/{name}"), said)));
            if let Some(away) = away {
                evidence.insert(format!("missing/{name}"), away.to_string());
            }
        }
        Ok(evidence)
    }

    /// Goes on telling what is added to logs, from the newest lines on, of one host or all: `tell` gets the host's name and a line. It ends when
    /// no host answers any more; a host that is lost is told of by `tell`, too.
    ///
    /// # Errors
    /// When no host can be asked.
    pub async fn follow(
        &self,
        only: Option<&str>,
        wanted: &Lines,
        tell: &(impl Fn(&str, &str) -> io::Result<()> + Sync),
    ) -> Result<(), Failure> {
        known(wanted.program.as_deref())?;
        let script = self.follow_script(wanted);
        let (found, problems): (Vec<_>, Vec<_>) = self.members(only).await?.into_iter().partition(Result::is_ok);
        let problems: Vec<Problem> = problems.into_iter().filter_map(Result::err).collect();
        for problem in problems.iter().filter(|_| !found.is_empty()) {
            tell("--", &problem.message).ok();
        }
        join_all(found.into_iter().flatten().map(async |access| {
            let mut lines = Pieces::default();
            let mut take = |bytes: &[u8]| lines.take(bytes, |line| tell(access.host(), line));
            let ended = access.root_taking(&script, ENDLESS, &mut take).await;
            let reason = match ended {
                Ok(answer) => answer.last_lines(5).join(" / "),
                Err(error) => Problem::from(error).message,
            };
            tell(access.host(), &format!("-- no more lines: {reason}")).ok();
        }))
        .await;
        if problems.is_empty() {
            return Ok(());
        }
        Err(failure(problems, &self.resume("logs -f")))
    }

    fn logs_script(&self, wanted: &Lines) -> String {
        let all = self.journal(wanted);
        match &wanted.containing {
            None => format!("{all} -n {}", wanted.count),
            Some(text) => format!(
                "{all} | grep -F -- {} | tail -n {}; exit ${{PIPESTATUS[0]}}",
                quote(text),
                wanted.count
            ),
        }
    }

    /// The same, and what is added from then on.
    fn follow_script(&self, wanted: &Lines) -> String {
        let all = self.journal(wanted);
        match &wanted.containing {
            None => format!("exec {all} -n {} -f", wanted.count),
            Some(text) => format!(
                "{all} -n {} -f | grep --line-buffered -F -- {}",
                wanted.count,
                quote(text)
            ),
        }
    }

    fn journal(&self, wanted: &Lines) -> String {
        let name = &self.inventory.config.name;
        let units = |program: &str| format!(" -u {name}-{program}.service -u {name}-standin@{program}.service");
        let units: String = match &wanted.program {
            Some(program) => units(program),
            None => all_programs().map(units).collect(),
        };
        let since = wanted.since.as_ref().map(|since| format!(" --since {}", quote(since)));
        format!(
            "journalctl{units}{} --no-pager -o short-iso -q",
            since.unwrap_or_default()
        )
    }

    /// Restarts a program on one host or all, or the services and the node agents; one host after the other.
    ///
    /// # Errors
    /// What went wrong, on which hosts.
    pub async fn restart(&self, only: Option<&str>, program: Option<&str>) -> Result<(), Failure> {
        known(program)?;
        let members = self.members(only).await?;
        let (mut problems, mut accesses) = (Vec::new(), Vec::new());
        for member in members {
            match member {
                Ok(access) => accesses.push(access),
                Err(problem) => problems.push(problem),
            }
        }
        let locks = Locks::take(&self.inventory.config.name, accesses.clone()).await;
        let (locks, taken) = locks.map_err(|held| failure(held, &self.resume("restart")))?;
        problems.extend(taken.into_iter().filter_map(Result::err));
        let (script, mut found) = (self.restart_script(program), false);
        for access in accesses {
            match said(&access, "restart", &script).await {
                Ok((_, units)) => found |= !units.trim().is_empty(),
                Err(problem) => problems.push(problem),
            }
        }
        locks.release().await;
        match (problems.is_empty(), found) {
            (true, true) => Ok(()),
            (true, false) => {
                let message = format!("no host runs `{}`", program.unwrap_or("a service"));
                Err(Failure::new(Exit::Usage, message))
            }
            (false, _) => Err(failure(problems, &self.resume("restart"))),
        }
    }

    fn restart_script(&self, program: Option<&str>) -> String {
        let name = &self.inventory.config.name;
        let wanted = program.map_or_else(|| SERVICES.join(" ") + " agent", str::to_owned);
        format!(
            "units=; for program in {wanted}; do [ ! -e /etc/systemd/system/{name}-$program.service ] || units=\"$units {name}-$program\"; done
[ -z \"$units\" ] || systemctl restart $units || exit 1
echo \"$units\""
        )
    }

    /// A host that config.json names.
    ///
    /// # Errors
    /// When it does not.
    pub fn knows(&self, host: Option<&str>) -> Result<(), Failure> {
        let machines = &self.inventory.machines;
        let Some(host) = host.filter(|host| !machines.iter().any(|machine| machine.name == *host)) else {
            return Ok(());
        };
        let names: Vec<&str> = machines.iter().map(|machine| machine.name.as_str()).collect();
        let message = format!("there is no host `{host}`; there are: {}", names.join(", "));
        Err(Failure::new(Exit::Usage, message))
    }

    /// Signs in to one host or all.
    async fn members(&self, only: Option<&str>) -> Result<Vec<Result<Arc<Remote>, Problem>>, Failure> {
        self.knows(only)?;
        let machines = &self.inventory.machines;
        let connected = connect(&self.inventory).await.into_iter().zip(machines);
        let wanted = connected.filter(|(_, machine)| only.is_none_or(|only| only == machine.name));
        Ok(wanted.map(|(access, _)| access).collect())
    }

    /// Runs a script on one host or all; what it printed, by host, and what went wrong on the others.
    async fn everywhere(
        &self,
        only: Option<&str>,
        verb: &str,
        script: &str,
    ) -> Result<(BTreeMap<String, String>, Option<Failure>), Failure> {
        let members = self.members(only).await?;
        let outcomes = self
            .inventory
            .each(
                members
                    .into_iter()
                    .map(async |access| said(access?.as_ref(), verb, script).await),
            )
            .await;
        let (mut told, mut problems) = (BTreeMap::new(), Vec::new());
        for outcome in outcomes {
            match outcome {
                Ok((host, said)) => drop(told.insert(host, said)),
                Err(problem) => problems.push(problem),
            }
        }
        let away = (!problems.is_empty()).then(|| failure(problems, &self.resume(verb)));
        match away {
            Some(away) if told.is_empty() => Err(away),
            away => Ok((told, away)),
        }
    }

    /// Looks at the key of every host, without signing in.
    pub async fn acquaintances(&self) -> Vec<(String, Acquaintance)> {
        let all = (0..self.inventory.machines.len()).filter_map(|index| self.inventory.target(index));
        join_all(all.map(async |target| {
            let shown = match host_key(&target).await {
                Ok(key) => key,
                Err(error) => return (target.name.clone(), Acquaintance::Wrong(error)),
            };
            let acquaintance = match hosts::ssh::check(&target, &shown) {
                Ok(()) => Acquaintance::Known(shown.fingerprint),
                Err(SshError::HostKeyUnknown { .. }) => Acquaintance::New(Box::new(shown)),
                Err(error) => Acquaintance::Wrong(error),
            };
            (target.name, acquaintance)
        }))
        .await
    }

    /// Writes a key into the `known_hosts` by which its host is known.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn trust(&self, host: &str, key: &HostKey) -> Result<(), Failure> {
        let targets = (0..self.inventory.machines.len()).filter_map(|index| self.inventory.target(index));
        let target = targets.into_iter().find(|target| target.name == host);
        let target = target.ok_or_else(|| Failure::new(Exit::Usage, format!("there is no host `{host}`")))?;
        learn(&target.trust.known_hosts, key).map_err(|error| Failure::new(Exit::HostKey, error.to_string()))
    }

    /// Which host runs what.
    #[must_use]
    pub fn placement(&self) -> Vec<(&str, Vec<&'static str>)> {
        let of = |machine: &super::inventory::Machine| machine.roles.iter().map(|role| role.name()).collect();
        let machines = self.inventory.machines.iter();
        machines.map(|machine| (machine.name.as_str(), of(machine))).collect()
    }
}

#[cfg(test)]
mod tests;

//! Smaller commands for many hosts: logs, restart, and getting to know the keys of hosts.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use hosts::Access as _;
use hosts::ssh::{HostKey, SshError, host_key, learn};

use super::Fleet;
use super::connection::{Problem, connect, failure};
use crate::failure::{Exit, Failure};

const LIMIT: Duration = Duration::from_secs(60);

/// Which lines of logs are wanted.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// A program; absent: all.
    pub program: Option<String>,
    /// Of each program and host.
    pub count: u32,
    /// Since when, as journalctl understands it.
    pub since: Option<String>,
    /// Only lines with this text.
    pub containing: Option<String>,
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
        let script = self.logs_script(wanted);
        self.everywhere(only, "logs", &script).await
    }

    fn logs_script(&self, wanted: &Lines) -> String {
        let name = &self.inventory.config.name;
        let units = match &wanted.program {
            Some(program) => format!("{name}-{program}.service {name}-standin@{program}.service"),
            None => format!("{name}-*.service"),
        };
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let since = wanted
            .since
            .as_ref()
            .map_or_else(String::new, |since| format!(" --since {}", quoted(since)));
        let filter = wanted
            .containing
            .as_ref()
            .map_or_else(String::new, |text| format!(" | grep -F -- {}", quoted(text)));
        let units = units.split(' ').map(|unit| format!(" -u {}", quoted(unit)));
        format!(
            "journalctl{} -n {}{since} --no-pager -o short-iso -q{filter} || true",
            units.collect::<String>(),
            wanted.count
        )
    }

    /// Restarts a program on one host or all, or the services and the node agents.
    ///
    /// # Errors
    /// What went wrong, on which hosts.
    pub async fn restart(&self, only: Option<&str>, program: Option<&str>) -> Result<(), Failure> {
        let name = &self.inventory.config.name;
        let services = common::config::SERVICES.join(" ");
        let wanted = program.map_or_else(|| format!("{services} agent"), str::to_owned);
        let script = format!(
            "units=; for program in {wanted}; do [ ! -e /etc/systemd/system/{name}-$program.service ] || units=\"$units {name}-$program\"; done; [ -z \"$units\" ] || systemctl restart $units; echo \"$units\""
        );
        let (told, away) = self.everywhere(only, "restart", &script).await?;
        if told.values().all(|units| units.trim().is_empty()) {
            let message = format!("no host runs `{}`", program.unwrap_or("a service"));
            return Err(Failure::new(Exit::Usage, message));
        }
        away.map_or(Ok(()), Err)
    }

    /// Runs a script on one host or all; what it printed, by host, and what went wrong on the others.
    async fn everywhere(
        &self,
        only: Option<&str>,
        verb: &str,
        script: &str,
    ) -> Result<(BTreeMap<String, String>, Option<Failure>), Failure> {
        if let Some(only) = only.filter(|only| !self.inventory.machines.iter().any(|machine| machine.name == *only)) {
            let names: Vec<&str> = self
                .inventory
                .machines
                .iter()
                .map(|machine| machine.name.as_str())
                .collect();
            let message = format!("there is no host `{only}`; there are: {}", names.join(", "));
            return Err(Failure::new(Exit::Usage, message));
        }
        let wanted = |name: &str| only.is_none_or(|only| only == name);
        let connected = connect(&self.inventory).await.into_iter().zip(&self.inventory.machines);
        let chosen = connected.filter(|(_, machine)| wanted(&machine.name));
        let outcomes = join_all(chosen.map(async |(access, _)| {
            let access = access?;
            let answer = access.root(script, LIMIT).await?;
            if answer.succeeded() {
                return Ok((access.host().to_owned(), answer.stdout));
            }
            Err(Problem {
                exit: Exit::Failed,
                message: format!("{}: {verb}: {}", access.host(), answer.last_lines(5).join(" / ")),
            })
        }))
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

    /// Which host runs what, a line each.
    #[must_use]
    pub fn placement(&self) -> Vec<String> {
        let line = |machine: &super::inventory::Machine| {
            let roles: Vec<&str> = machine.roles.iter().map(|role| role.name()).collect();
            format!("{:<16} {}", machine.name, roles.join(", "))
        };
        self.inventory.machines.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use common::config::Config;

    use super::*;
    use crate::installation::Options;

    #[test]
    fn what_a_person_types_stays_one_word() {
        let config = r#"{"hosts": [{"connection": "ssh", "address": "192.0.2.1"}]}"#;
        let fleet = Fleet::new(Config::parse(config).unwrap(), Options::default()).unwrap();
        let all = fleet.logs_script(&Lines {
            count: 5,
            ..Lines::default()
        });
        assert_eq!(
            all,
            "journalctl -u 'iot-*.service' -n 5 --no-pager -o short-iso -q || true"
        );
        let some = fleet.logs_script(&Lines {
            program: Some("scheduler".to_owned()),
            count: 5,
            since: Some("1 hour ago".to_owned()),
            containing: Some("it's; rm".to_owned()),
        });
        insta::assert_snapshot!(some);
    }
}

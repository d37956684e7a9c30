//! The same for many hosts: each by itself, and whether they find each other.

use std::sync::Arc;
use std::time::Duration;

use common::config::{Mode, Role};
use hosts::observe::{Facts, observe};
use hosts::{Access as _, Remote};
use jiff::Timestamp;

use super::Fleet;
use super::certificates::{HOST_DAYS, days_left};
use super::connection::{Problem, connect};
use super::inventory::{Inventory, Machine};
use super::secrets::Secrets;
use super::survey::{self, Survey};
use crate::doctor::{self, Diagnosis};

const LIMIT: Duration = Duration::from_secs(60);
/// Room below which a host is about to be full, in MiB.
const NARROW_MIB: u64 = 2000;

/// What a host said.
struct Seen {
    facts: Facts,
    survey: Survey,
    /// Ports of others that it does not reach.
    unreached: Vec<String>,
}

impl Fleet {
    /// Looks at every host, and whether they find each other.
    pub async fn doctor(&self) -> Diagnosis {
        let connected = connect(&self.inventory).await;
        let machines = self.inventory.machines.iter();
        let looked = machines
            .clone()
            .zip(connected)
            .map(async |(machine, connected)| self.look_at(machine, connected?).await);
        let looked = self.inventory.each(looked).await;
        let (mut told, mut secrets, mut surveys) = (Diagnosis::default(), Secrets::default(), Vec::new());
        for (machine, seen) in machines.clone().zip(&looked) {
            match seen {
                Ok(seen) => {
                    secrets.learn(machine.internal, &seen.survey.secrets);
                    surveys.push(Some(seen.survey.clone()));
                }
                Err(problem) => {
                    told.add(&machine.name, "ssh and sudo", Some(problem.message.clone()));
                    surveys.push(None);
                }
            }
        }
        for (machine, seen) in machines.zip(&looked) {
            if let Ok(seen) = seen {
                self.judge(machine, seen, &secrets, &mut told);
            }
        }
        told.add_all(
            "all hosts",
            "belong together",
            survey::discord(&self.inventory, &surveys),
        );
        if surveys.iter().flatten().any(|survey| survey.marker.is_some()) {
            self.programs(&mut told).await;
        }
        told
    }

    async fn look_at(&self, machine: &Machine, access: Arc<Remote>) -> Result<Seen, Problem> {
        let answer = access.root(&survey::script(&self.inventory), LIMIT).await?;
        let data = self.inventory.config.data_dir.display().to_string();
        let observed = observe(&*access, &[], &data).await?;
        let unreached = access.root(&reach_script(&self.inventory, machine), LIMIT).await?;
        Ok(Seen {
            facts: observed.facts,
            survey: Survey::read(&answer.stdout),
            unreached: unreached.stdout.lines().map(str::to_owned).collect(),
        })
    }

    fn judge(&self, machine: &Machine, seen: &Seen, secrets: &Secrets, told: &mut Diagnosis) {
        let name = &machine.name;
        told.add(name, "ssh and sudo", None);
        let mut problems = hosts::unusable(&seen.facts, &[], NARROW_MIB, Timestamp::now().as_second());
        problems.extend(survey::unusable(&self.inventory, machine.internal, &seen.survey));
        told.add_all(name, "disk, clock, address, data folder", problems);
        if seen.survey.marker.is_none() {
            return;
        }
        let unreached = seen.unreached.iter();
        let unreached = unreached
            .map(|port| format!("it does not reach {port}; allow it between the hosts (security group, firewall)"));
        told.add_all(name, "way to the others", unreached.collect());
        let shown = secrets.host(machine.internal).1;
        told.add(name, "certificate between hosts", certificate(shown, Timestamp::now()));
        let unfinished = "a restore was interrupted; run `restore` with the same backup again";
        let restoring = seen.survey.restoring.is_some();
        told.add(name, "restore", restoring.then(|| unfinished.to_owned()));
    }

    async fn programs(&self, told: &mut Diagnosis) {
        match self.status().await {
            Ok((status, _)) => {
                for row in &status.rows {
                    let restarts = usize::try_from(row.restarts).unwrap_or(usize::MAX);
                    told.add(&row.host, &row.name, doctor::program(&row.name, row.ready, restarts));
                }
                for node in &status.nodes {
                    let ready = node.split_whitespace().nth(1) == Some("Ready");
                    let lost = format!("the swarm says `{node}`; look whether Docker runs there");
                    told.add(
                        "swarm",
                        node.split_whitespace().next().unwrap_or_default(),
                        (!ready).then_some(lost),
                    );
                }
            }
            Err(failure) => told.add("all hosts", "programs", Some(failure.message)),
        }
    }
}

/// What to say of the certificate that a host shows to the others.
fn certificate(pem: &str, now: Timestamp) -> Option<String> {
    const MENDED: &str = "`up` makes a new one";
    match days_left(pem, now) {
        None => Some(format!("it is missing or broken; {MENDED}")),
        Some(..0) => Some(format!("it has ended; {MENDED}")),
        Some(days) if days <= HOST_DAYS / 3 => Some(format!("it holds {days} more days; {MENDED}")),
        Some(_) => None,
    }
}

/// A script that prints the ports of others that a host does not reach.
fn reach_script(inventory: &Inventory, from: &Machine) -> String {
    let (config, ports) = (&inventory.config, &inventory.config.ports);
    let wanted = [
        (Role::Kafka, ports.kafka, config.kafka.mode == Mode::Managed),
        (Role::Mongodb, ports.mongodb, config.mongodb.mode == Mode::Managed),
        (Role::Registry, ports.registry, true),
    ];
    let others = inventory.machines.iter().filter(|other| other.name != from.name);
    let mut script = String::new();
    for other in others {
        for (role, port, managed) in wanted {
            if managed && other.roles.contains(&role) {
                let (address, name) = (other.internal, &other.name);
                script.push_str(&format!(
                    "timeout 5 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>/dev/null || echo '{} of {name} ({address}:{port})'\n",
                    role.name()
                ));
            }
        }
    }
    script + "exit 0\n"
}

#[cfg(test)]
mod tests {
    use common::config::Config;

    use super::*;

    #[test]
    fn a_host_asks_for_what_others_have() {
        let config = r#"{"hosts": [{"connection": "ssh", "address": "192.0.2.1"}, {"connection": "ssh", "address": "192.0.2.2"}]}"#;
        let inventory = Inventory::new(&Config::parse(config).unwrap()).unwrap();
        let script = |index: usize| reach_script(&inventory, &inventory.machines[index]);
        assert_eq!(script(0), "exit 0\n", "it has everything itself");
        insta::assert_snapshot!(script(1));
    }
}

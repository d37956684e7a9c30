//! What runs on which host, and how well.

use std::fmt;
use std::time::Duration;

use common::config::{Mode, Role};
use common::messages::health::{Recovery, RecoveryState};
use hosts::Access as _;
use serde::Serialize;
use serde_json::Value;

use super::Fleet;
use super::connection::{connect, failure};
use super::inventory::Inventory;
use super::items::Stage;
use crate::failure::Failure;

const LIMIT: Duration = Duration::from_secs(20);

/// One unit on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitRow {
    /// The host.
    pub host: String,
    /// Name of the program.
    pub name: String,
    /// systemd's word for its state.
    pub state: String,
    /// Whether it runs and says that it is ready.
    pub ready: bool,
    /// Process id.
    pub pid: u32,
    /// How often systemd started it again.
    pub restarts: u32,
    /// Since when it runs, as systemd writes it.
    pub since: String,
    /// Memory in KiB.
    pub memory_kib: u64,
}

/// The state of an installation on many hosts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetStatus {
    /// Name of the installation.
    pub name: String,
    /// Where people open the console.
    pub address: String,
    /// Units, by host.
    pub rows: Vec<UnitRow>,
    /// Nodes of the swarm, as the Engine lists them.
    pub nodes: Vec<String>,
    /// What the monitor did for services of lost hosts, and what came of it; the newest first.
    pub recoveries: Vec<Recovery>,
}

/// What one host said.
#[derive(Debug, Default)]
struct Said {
    rows: Vec<UnitRow>,
    nodes: Vec<String>,
    recoveries: Vec<Recovery>,
}

impl FleetStatus {
    /// What concerns one program; absent: all, and the nodes.
    #[must_use]
    pub fn only(mut self, program: Option<&str>) -> Self {
        if let Some(program) = program {
            self.rows.retain(|row| row.name == program);
            self.recoveries.retain(|recovery| recovery.service.as_str() == program);
            self.nodes.clear();
        }
        self
    }

    /// What does not run or is not ready.
    #[must_use]
    pub fn unready(&self) -> Vec<String> {
        let rows = self.rows.iter().filter(|row| !row.ready);
        let nodes = self
            .nodes
            .iter()
            .filter(|node| node.split_whitespace().nth(1) != Some("Ready"));
        rows.map(|row| format!("{} on {}", row.name, row.host))
            .chain(nodes.map(|node| format!("node {node}")))
            .collect()
    }
}

/// How a program says that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// On its admin port.
    Admin(u16),
    /// It takes connections on the internal address.
    Takes(u16),
    /// It is a member of its replica set that has everything.
    Member(u16),
    /// It runs.
    Runs,
}

impl Sign {
    /// A shell condition.
    fn test(self, inventory: &Inventory, index: usize, unit: &str) -> String {
        let internal = inventory
            .machines
            .get(index)
            .map_or(std::net::Ipv4Addr::LOCALHOST, |machine| machine.internal);
        match self {
            Self::Admin(port) => format!("( ready {port} ) 2>/dev/null"),
            Self::Takes(port) => format!("( exec 3<>/dev/tcp/{internal}/{port} ) 2>/dev/null"),
            Self::Member(port) => format!(
                "mongosh --quiet --norc 'mongodb://{internal}:{port}/?directConnection=true&serverSelectionTimeoutMS=5000&tls=true&tlsCAFile={}/etc/ca.pem' --eval 'const it = db.hello(); quit(it.isWritablePrimary || it.secondary ? 0 : 1)' >/dev/null 2>&1",
                inventory.config.data_dir.display()
            ),
            Self::Runs => format!("systemctl is-active -q {unit}"),
        }
    }
}

/// Programs of a host, and how each says that it is ready.
fn programs(inventory: &Inventory, index: usize) -> Vec<(String, Sign)> {
    let (config, Some(machine)) = (&inventory.config, inventory.machines.get(index)) else {
        return Vec::new();
    };
    let (admin, ports) = (config.admin_ports(), &config.ports);
    let sign = |name: &str| admin.get(name).map_or(Sign::Runs, |port| Sign::Admin(*port));
    let mut all = vec![("agent".to_owned(), sign("agent"))];
    for role in &machine.roles {
        match role {
            Role::Kafka if config.kafka.mode == Mode::External => {}
            Role::Mongodb if config.mongodb.mode == Mode::External => {}
            Role::Kafka => all.push(("kafka".to_owned(), Sign::Takes(ports.kafka))),
            Role::Mongodb if config.has_replica_set() => {
                all.push(("mongodb".to_owned(), Sign::Member(ports.mongodb)));
            }
            Role::Mongodb => all.extend([
                ("postgresql".to_owned(), Sign::Runs),
                ("ferretdb".to_owned(), Sign::Takes(ports.mongodb)),
            ]),
            Role::Registry => all.push(("registry".to_owned(), Sign::Takes(ports.registry))),
            role => all.push((role.name().to_owned(), sign(role.name()))),
        }
    }
    all
}

const READY: &str = r#"
ready() { # admin port
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf 'GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
  head -1 <&3 | grep -q ' 200'
}
"#;

/// Whether the broker of a host and its member of a replica set work; none where it has neither of ours.
pub(super) fn several_script(inventory: &Inventory, index: usize) -> Option<String> {
    let all = programs(inventory, index).into_iter();
    let tests: Vec<String> = all
        .filter(|(name, _)| ["kafka", "mongodb"].contains(&name.as_str()))
        .map(|(name, sign)| sign.test(inventory, index, &format!("{}-{name}", inventory.config.name)))
        .collect();
    (!tests.is_empty()).then(|| tests.join(" && "))
}

/// Waits until everything on a host is ready, or what the others need first; says what is not, with its last words.
pub(super) fn ready_script(inventory: &Inventory, index: usize, stage: Stage) -> String {
    const FIRST: [&str; 5] = ["kafka", "postgresql", "ferretdb", "mongodb", "registry"];
    let mut script = format!("{READY}\nend=$(( $(date +%s) + 120 ))\n");
    let wanted = programs(inventory, index)
        .into_iter()
        .filter(|(name, _)| stage != Stage::Infrastructure || FIRST.contains(&name.as_str()));
    for (name, sign) in wanted {
        let unit = format!("{}-{name}", inventory.config.name);
        let test = sign.test(inventory, index, &unit);
        script.push_str(&format!(
            "until {test}; do [ \"$(date +%s)\" -lt $end ] || {{ echo '{name} is not ready within 120 s; its last lines:' >&2; journalctl -u {unit} -n 15 --no-pager -o cat >&2; exit 1; }}; sleep 0.2; done\n"
        ));
    }
    script
}

fn look_script(inventory: &Inventory, index: usize) -> String {
    let mut script = READY.to_owned();
    for (name, sign) in programs(inventory, index) {
        let unit = format!("{}-{name}", inventory.config.name);
        let ready = sign.test(inventory, index, &unit);
        script.push_str(&format!(
            "pid=$(systemctl show -p MainPID --value {unit}); {ready} && ok=yes || ok=no\n\
             echo \"unit {name} $(systemctl show -p ActiveState --value {unit}) $ok $pid $(systemctl show -p NRestarts --value {unit}) $(sed -n 's/^VmRSS: *\\([0-9]*\\).*/\\1/p' /proc/$pid/status 2>/dev/null || true) . $(systemctl show -p ActiveEnterTimestamp --value {unit})\"\n"
        ));
    }
    script.push_str(&format!(
        "for unit in $(systemctl list-units --plain --no-legend --state=active '{}-standin@*' | cut -d' ' -f1); do
pid=$(systemctl show -p MainPID --value $unit); name=${{unit#*@}}
echo \"unit ${{name%.service}}(stand-in) active yes $pid $(systemctl show -p NRestarts --value $unit) $(sed -n 's/^VmRSS: *\\([0-9]*\\).*/\\1/p' /proc/$pid/status 2>/dev/null || true) . $(systemctl show -p ActiveEnterTimestamp --value $unit)\"
done\n",
        inventory.config.name
    ));
    let machine = inventory.machines.get(index);
    if machine.is_some_and(|machine| machine.roles.contains(&Role::ApplicationManager)) {
        script.push_str(&format!(
            "( exec 3<>/dev/tcp/127.0.0.1/{} && printf 'GET /api/v1/health HTTP/1.0\\r\\nHost: localhost\\r\\nAuthorization: Bearer %s\\r\\n\\r\\n' \"$(cat {}/secrets/host.token)\" >&3 && timeout 5 cat <&3 | tail -n 1 | sed 's/^/health /'; echo ) 2>/dev/null\n",
            inventory.config.console.port,
            inventory.config.data_dir.display()
        ));
    }
    script.push_str("[ \"$(timeout 5 docker info --format '{{.Swarm.ControlAvailable}}' 2>/dev/null)\" = true ] && docker node ls --format 'node {{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}'\nexit 0\n");
    script
}

fn read(host: &str, said: &str) -> Said {
    let mut read = Said::default();
    for line in said.lines() {
        if let Some(node) = line.strip_prefix("node ") {
            read.nodes.push(node.trim().to_owned());
        }
        if let Some(health) = line.strip_prefix("health ") {
            let health: Value = serde_json::from_str(health).unwrap_or_default();
            let recoveries = health.get("recoveries").cloned().unwrap_or_default();
            read.recoveries = serde_json::from_value(recoveries).unwrap_or_default();
        }
        let Some((facts, since)) = line.strip_prefix("unit ").and_then(|line| line.split_once(" .")) else {
            continue;
        };
        let words: Vec<&str> = facts.split_whitespace().collect();
        let [name, state, ready, pid, restarts, memory @ ..] = words.as_slice() else {
            continue;
        };
        read.rows.push(UnitRow {
            host: host.to_owned(),
            name: (*name).to_owned(),
            state: (*state).to_owned(),
            ready: *ready == "yes",
            pid: pid.parse().unwrap_or_default(),
            restarts: restarts.parse().unwrap_or_default(),
            since: since.trim().to_owned(),
            memory_kib: memory
                .first()
                .and_then(|memory| memory.parse().ok())
                .unwrap_or_default(),
        });
    }
    read
}

impl Fleet {
    /// Looks at everything. The hosts that could not be asked come with the failure.
    ///
    /// # Errors
    /// When no host answers; the part that is known is in the first value otherwise.
    pub async fn status(&self) -> Result<(FleetStatus, Option<Failure>), Failure> {
        self.status_of(None).await
    }

    /// The same of one host, which says what it knows of the swarm's nodes and of recoveries; absent: of all.
    ///
    /// # Errors
    /// When there is no such host, or none answers.
    pub async fn status_of(&self, host: Option<&str>) -> Result<(FleetStatus, Option<Failure>), Failure> {
        self.knows(host)?;
        let mut status = FleetStatus {
            name: self.inventory.config.name.clone(),
            address: self.inventory.consoles().join(" and "),
            rows: Vec::new(),
            nodes: Vec::new(),
            recoveries: Vec::new(),
        };
        let machines = self.inventory.machines.iter().enumerate();
        let connected = connect(&self.inventory).await.into_iter().zip(machines);
        let wanted = connected.filter(|(_, (_, machine))| host.is_none_or(|host| host == machine.name));
        let looked = self
            .inventory
            .each(wanted.map(async |(connected, (index, _))| {
                let access = connected?;
                let answer = access.root(&look_script(&self.inventory, index), LIMIT).await?;
                Ok(read(access.host(), &answer.stdout))
            }))
            .await;
        let mut problems = Vec::new();
        for outcome in looked {
            match outcome {
                Ok(said) => {
                    status.rows.extend(said.rows);
                    if status.nodes.is_empty() {
                        status.nodes = said.nodes;
                    }
                    if status.recoveries.is_empty() {
                        status.recoveries = said.recoveries;
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        let away = (!problems.is_empty()).then(|| failure(problems, &self.resume("status")));
        match away {
            Some(away) if status.rows.is_empty() => Err(away),
            away => Ok((status, away)),
        }
    }
}

impl fmt::Display for FleetStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", self.name, self.address)?;
        writeln!(
            f,
            "{:<16} {:<20} {:<10} {:<6} {:>7} {:>8} {:>12}  since",
            "host", "program", "state", "ready", "pid", "restarts", "memory"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "{:<16} {:<20} {:<10} {:<6} {:>7} {:>8} {:>8} MiB  {}",
                row.host,
                row.name,
                row.state,
                if row.ready { "yes" } else { "NO" },
                row.pid,
                row.restarts,
                row.memory_kib / 1024,
                row.since
            )?;
        }
        for node in &self.nodes {
            writeln!(f, "node {node}")?;
        }
        for recovery in &self.recoveries {
            let (service, host, lost) = (recovery.service, &recovery.host, &recovery.instead_of);
            let state = match recovery.state {
                RecoveryState::Started => "started",
                RecoveryState::Ended => "ended",
                RecoveryState::Failed => "FAILED",
            };
            writeln!(
                f,
                "recovery {} {state}: {service} on {host} instead of {lost}: {}",
                recovery.since, recovery.outcome
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_is_read() {
        let said = "unit agent active yes 71 0 20480 . Wed 2026-01-07 10:00:00 UTC\nunit kafka failed no 0 5  . \nnode one Ready Active Leader\nhealth {\"recoveries\":[{\"service\":\"scheduler\",\"host\":\"one\",\"instead_of\":\"two\",\"state\":\"started\",\"outcome\":\"two is lost\",\"since\":\"2026-01-07T10:00:00.000Z\",\"version\":1}]}\n";
        let Said {
            rows,
            nodes,
            recoveries,
        } = read("one", said);
        assert_eq!((rows[0].ready, rows[0].memory_kib, rows[0].restarts), (true, 20480, 0));
        assert_eq!((rows[1].ready, rows[1].memory_kib, rows[1].restarts), (false, 0, 5));
        assert_eq!(nodes, ["one Ready Active Leader"]);
        let status = FleetStatus {
            name: "iot".to_owned(),
            address: "http://192.0.2.1/".to_owned(),
            rows,
            nodes,
            recoveries,
        };
        assert_eq!(status.unready(), ["kafka on one"]);
        insta::assert_snapshot!(status);
    }
}

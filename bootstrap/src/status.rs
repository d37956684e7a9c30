//! What runs, how well, and how much memory it takes.

use std::fmt;

use anyhow::Result;
use common::config::{Mode, SERVICES};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::installation::Installation;
use crate::mongodb::Server;
use crate::{demo, engine, probe, processes};

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Name of the program.
    pub name: String,
    /// The supervisor's word for its state.
    pub state: String,
    /// Whether it answers.
    pub ready: bool,
    /// Process id.
    pub pid: Option<u32>,
    /// How long it runs.
    pub uptime: Option<String>,
    /// How often it ended by itself.
    pub restarts: Option<usize>,
    /// Memory in KiB.
    pub memory_kib: Option<u64>,
}

/// The state of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Name of the installation.
    pub name: String,
    /// Where people open the console.
    pub address: String,
    /// Programs.
    pub rows: Vec<Row>,
    /// What serves Kafka and MongoDB when it is not a program here, and the Engine.
    pub notes: Vec<String>,
}

impl Status {
    /// The row of one program; absent: all.
    ///
    /// # Errors
    /// When there is no such program.
    pub(crate) fn only(mut self, name: Option<&str>) -> Result<Self, Failure> {
        let Some(name) = name else { return Ok(self) };
        if !self.rows.iter().any(|row| row.name == name) {
            let names: Vec<&str> = self.rows.iter().map(|row| row.name.as_str()).collect();
            let message = format!("there is no `{name}` here; there are: {}", names.join(", "));
            return Err(Failure::new(Exit::Usage, message));
        }
        self.rows.retain(|row| row.name == name);
        Ok(self)
    }

    /// Whether everything runs and answers.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.rows.iter().all(|row| row.ready)
    }

    /// Memory of the six services in KiB.
    #[must_use]
    pub fn services_kib(&self) -> u64 {
        self.rows
            .iter()
            .filter(|row| is_service(&row.name))
            .filter_map(|row| row.memory_kib)
            .sum()
    }
}

fn is_service(name: &str) -> bool {
    SERVICES.contains(&name)
}

impl Installation {
    /// Looks at everything.
    ///
    /// # Errors
    /// When the supervisor cannot be asked.
    pub async fn status(&self) -> Result<Status> {
        let supervisor = self.supervisor();
        let states = match supervisor.pid().await {
            Some(_) => supervisor.states().await?,
            None => std::collections::BTreeMap::new(),
        };
        let restarts = supervisor.restarts();
        let mut rows = Vec::new();
        for name in self.expected().await {
            let state = states.get(&name);
            let pid = state.and_then(|state| state.pid);
            let memory = if is_service(&name) || name == "agent" {
                processes::resident_kib
            } else {
                processes::tree_kib
            };
            rows.push(Row {
                state: state.map_or_else(|| "not started".to_owned(), |state| state.word.clone()),
                ready: state.is_some_and(|state| state.running) && self.answers(&name).await,
                uptime: state.and_then(|state| state.uptime.clone()),
                restarts: state.map(|_| restarts.get(&name).copied().unwrap_or_default()),
                memory_kib: pid.and_then(memory),
                pid,
                name,
            });
        }
        rows.push(engine_row().await);
        Ok(Status {
            name: self.config.name.clone(),
            address: self.address(),
            rows,
            notes: self.notes(),
        })
    }

    async fn expected(&self) -> Vec<String> {
        let mut names: Vec<String> = SERVICES.into_iter().chain(["agent"]).map(str::to_owned).collect();
        if self.config.kafka.mode == Mode::Managed {
            names.push("kafka".to_owned());
        }
        if self.config.mongodb.mode == Mode::Managed {
            match self.server().await {
                Server::Mongod => names.push("mongodb".to_owned()),
                Server::Ferretdb => names.extend(["ferretdb".to_owned(), "postgresql".to_owned()]),
            }
        }
        names.push("registry".to_owned());
        if demo::simulation_file(&self.layout).exists() {
            names.push(demo::SIMULATOR.to_owned());
        }
        names
    }

    async fn answers(&self, name: &str) -> bool {
        let ports = &self.config.ports;
        match name {
            "kafka" => probe::kafka(ports.kafka).await,
            "mongodb" | "ferretdb" => probe::mongodb(ports.mongodb).await,
            "registry" => probe::http(ports.registry, "/").await,
            // It calls others and has nothing to answer with.
            demo::SIMULATOR => true,
            // FerretDB answers only when it does.
            "postgresql" => probe::mongodb(ports.mongodb).await,
            service => {
                let admin = self.config.admin_ports().get(service).copied().unwrap_or_default();
                probe::http(admin, "/health/ready").await
            }
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.config.kafka.mode == Mode::External {
            notes.push(format!(
                "kafka: external at {}",
                self.config.kafka.brokers.as_deref().unwrap_or_default()
            ));
        }
        if self.config.mongodb.mode == Mode::External {
            notes.push("mongodb: external".to_owned());
        }
        notes
    }
}

async fn engine_row() -> Row {
    let version = engine::version().await;
    Row {
        name: "docker-engine".to_owned(),
        state: version
            .as_ref()
            .map_or_else(|| "not running".to_owned(), |version| format!("running {version}")),
        ready: version.is_some() && engine::swarm_active().await,
        pid: None,
        uptime: None,
        restarts: None,
        memory_kib: None,
    }
}

fn mib(kib: u64) -> String {
    format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024)
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", self.name, self.address)?;
        writeln!(
            f,
            "{:<20} {:<16} {:<6} {:>7}  {:<16} {:>8} {:>12}",
            "program", "state", "ready", "pid", "uptime", "restarts", "memory"
        )?;
        for row in &self.rows {
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            writeln!(
                f,
                "{:<20} {:<16} {:<6} {:>7}  {:<16} {:>8} {:>12}",
                row.name,
                row.state,
                if row.ready { "yes" } else { "NO" },
                or_dash(row.pid.map(|pid| pid.to_string())),
                or_dash(row.uptime.clone()),
                or_dash(row.restarts.map(|count| count.to_string())),
                or_dash(row.memory_kib.map(mib)),
            )?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        writeln!(f, "memory of the six services: {}", mib(self.services_kib()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_health() {
        let row = |name: &str, ready: bool, memory_kib: u64| Row {
            name: name.to_owned(),
            state: if ready { "running" } else { "backoff" }.to_owned(),
            ready,
            pid: ready.then_some(7),
            uptime: ready.then(|| "0:01:02".to_owned()),
            restarts: Some(0),
            memory_kib: Some(memory_kib),
        };
        let rows = vec![
            row("scheduler", true, 20_480),
            row("monitor", false, 1536),
            row("kafka", true, 400_000),
        ];
        let status = Status {
            name: "iot".into(),
            address: "http://192.0.2.1/".into(),
            rows,
            notes: vec![],
        };
        assert!(!status.healthy());
        assert_eq!(status.services_kib(), 22_016);
        insta::assert_snapshot!(status);
    }
}

//! What each host shall have. Pure.

mod backup;
mod base;
mod infrastructure;
mod network;
mod recovery;
mod replica_set;
mod services;

use std::path::Path;

pub(super) use backup::RESTORING;
pub(super) use recovery::hostctl_account;
pub(super) use replica_set::members;
pub(super) use services::by_use;

use hosts::{Content, Item, Kind, Unit};

use super::brokers::Brokers;
use super::inventory::{Inventory, Machine};
use super::payload::Payload;
use super::secrets::Secrets;
use crate::files;
use crate::layout::{Layout, account};

/// When something is made: every host is through with one before any begins with the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Packages, account, folders, Engine, firewall.
    Base,
    /// The swarm begins.
    Swarm,
    /// The others join it.
    Join,
    /// Its network.
    Network,
    /// Kafka, MongoDB, registry.
    Infrastructure,
    /// What services are made of: programs, images that applications are built on.
    Programs,
    /// Services and node agents, one host after the other.
    Services,
    /// What ran on a host before and runs on others now ends.
    Elsewhere,
}

impl Stage {
    /// All, in order.
    pub(super) const ALL: [Self; 8] = [
        Self::Base,
        Self::Swarm,
        Self::Join,
        Self::Network,
        Self::Infrastructure,
        Self::Programs,
        Self::Services,
        Self::Elsewhere,
    ];

    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Base => "packages, engine, firewall",
            Self::Swarm => "swarm",
            Self::Join => "hosts join the swarm",
            Self::Network => "network of applications",
            Self::Infrastructure => "kafka, mongodb, registry",
            Self::Programs => "programs and images",
            Self::Services => "services",
            Self::Elsewhere => "what runs elsewhere now",
        }
    }
}

/// Something a host shall have, and when it is made.
pub(super) type Staged = (Stage, Item);

/// What was seen on hosts and on this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// The host that manages the swarm already.
    pub(super) gate: Option<usize>,
    /// Which broker has which number.
    pub(super) brokers: &'a Brokers,
    /// The host that makes the replica set of MongoDB and its accounts: one that answers.
    pub(super) database: Option<std::net::Ipv4Addr>,
    /// By which keys hosts know each other, as lines of OpenSSH's `known_hosts`.
    pub(super) known_hosts: &'a str,
}

/// Everything that one host shall have, in order.
pub(super) fn items(
    inventory: &Inventory,
    index: usize,
    payload: &Payload,
    secrets: &Secrets,
    seen: Seen<'_>,
) -> Vec<Staged> {
    let Some(machine) = inventory.machines.get(index) else {
        return Vec::new();
    };
    let on = On {
        inventory,
        machine,
        begins: seen.gate.is_none() && index == 0,
        gate: seen.gate.unwrap_or(0),
        brokers: seen.brokers,
        database: seen.database,
        known_hosts: seen.known_hosts,
        payload,
        secrets,
        layout: Layout::new(&inventory.config.data_dir, Path::new("")),
        account: account(&inventory.config.name),
    };
    let mut all = base::items(&on);
    all.extend(network::items(&on));
    all.extend(infrastructure::items(&on));
    all.extend(replica_set::items(&on));
    all.extend(services::items(&on));
    all.extend(recovery::items(&on));
    all.push((Stage::Elsewhere, no_others(&on, &all)));
    all.sort_by_key(|(stage, _)| *stage);
    all
}

/// What ran here before and runs elsewhere now. It ends when the others are there: until then it does its work.
fn no_others(on: &On<'_>, all: &[Staged]) -> Item {
    let wanted: Vec<&str> = all
        .iter()
        .filter_map(|(_, item)| match &item.kind {
            Kind::Unit(unit) => Some(unit.name.as_str()),
            _ => None,
        })
        .collect();
    let network = format!("{}-network", on.name());
    let list = format!(
        "for unit in $(grep -ls '^Description=.* of the platform `{name}`$' /etc/systemd/system/{name}-*.service); do unit=$(basename $unit .service); case $unit in {wanted}) ;; *) echo $unit ;; esac; done",
        name = on.name(),
        wanted = wanted
            .iter()
            .copied()
            .chain([network.as_str()])
            .collect::<Vec<_>>()
            .join("|")
    );
    state(
        "nothing else runs",
        format!("[ -z \"$({list})\" ]"),
        format!(
            "for unit in $({list}); do systemctl disable -q --now $unit; rm -f /etc/systemd/system/$unit.service; done; systemctl daemon-reload"
        ),
    )
}

/// A host, and what there is for it.
struct On<'a> {
    inventory: &'a Inventory,
    machine: &'a Machine,
    /// Whether the swarm begins here.
    begins: bool,
    /// The host that lets others into the swarm.
    gate: usize,
    brokers: &'a Brokers,
    database: Option<std::net::Ipv4Addr>,
    known_hosts: &'a str,
    payload: &'a Payload,
    secrets: &'a Secrets,
    layout: Layout,
    account: String,
}

impl On<'_> {
    fn name(&self) -> &str {
        &self.inventory.config.name
    }

    /// Where the host is that lets others into the swarm.
    fn gate_address(&self) -> std::net::Ipv4Addr {
        let gate = self.inventory.machines.get(self.gate);
        gate.map_or(self.machine.internal, |machine| machine.internal)
    }

    fn path(&self, part: &str) -> String {
        self.layout.part(part).display().to_string()
    }

    fn folder(&self, part: &str, owner: &str, mode: u32) -> Item {
        let path = self.path(part);
        Item::new(
            format!("folder {path}"),
            Kind::Folder {
                path,
                owner: owner.to_owned(),
                mode,
            },
        )
    }

    fn text(&self, part: &str, mode: u32, text: impl Into<String>) -> Item {
        file(self.path(part), "root", mode, Content::Text(text.into()))
    }

    fn secret_path(&self, name: &str) -> String {
        self.path(&format!("secrets/{name}"))
    }

    /// A file that only the account of the platform reads.
    fn secret(&self, name: &str, text: impl Into<String>) -> Item {
        file(
            self.secret_path(name),
            &self.account,
            0o600,
            Content::Secret(text.into()),
        )
    }

    /// The passwords of all accounts, on every host before any of them is used.
    fn accounts(&self) -> Vec<Item> {
        let all = self.secrets.accounts().into_iter();
        all.map(|(name, value)| self.secret(&name, value)).collect()
    }

    /// Where this host's private key and certificate are.
    fn certificate(&self) -> String {
        self.secret_path(self.secrets.host(self.machine.internal).0)
    }

    /// Where the authority is that every host believes.
    fn authority(&self) -> String {
        self.path(&format!("etc/{}", self.secrets.authority().0))
    }

    /// Changes with what a program reads at its start, certificates among it.
    fn print(&self, parts: &[&str]) -> String {
        let certificates = [self.secrets.host(self.machine.internal).1, self.secrets.authority().1];
        let parts: Vec<&[u8]> = parts.iter().chain(&certificates).map(|part| part.as_bytes()).collect();
        files::fingerprint(&parts)
    }

    /// The units of this platform that a unit starts after.
    fn unit(&self, role: &str, command: String, account: &str, fingerprint: String) -> Unit {
        Unit {
            name: format!("{}-{role}", self.name()),
            description: format!("{role} of the platform `{}`", self.name()),
            command,
            account: Some(account.to_owned()),
            environment: std::collections::BTreeMap::new(),
            after: vec!["docker.service".to_owned(), format!("{}-network.service", self.name())],
            // Without the firewall everybody would be let in.
            requires: Some(format!("{}-network.service", self.name())),
            stop_signal: "TERM",
            writes: Vec::new(),
            low_ports: false,
            notifies: false,
            stop_seconds: 15,
            pause_millis: 500,
            fingerprint,
        }
    }
}

fn file(path: String, owner: &str, mode: u32, content: Content) -> Item {
    Item::new(
        format!("file {path}"),
        Kind::File {
            path,
            owner: owner.to_owned(),
            mode,
            content,
        },
    )
}

fn state(name: impl Into<String>, check: impl Into<String>, make: impl Into<String>) -> Item {
    Item::new(
        name,
        Kind::State {
            check: check.into(),
            make: make.into(),
            input: None,
            file: None,
        },
    )
}

fn unit(unit: Unit) -> Item {
    Item::new(format!("unit {}", unit.name), Kind::Unit(unit))
}

#[cfg(test)]
mod tests;

//! The hosts of an installation with what each of them runs. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use common::config::{Config, Mode, Role, Ssh};
use futures_util::{StreamExt as _, stream};
use hosts::ssh::{Identity, Passphrase, Target, Timeouts, Trust, known_as};

use super::placement::{Copies, managers, place};
use crate::installation::console_address;
use crate::network::{Names, Subnet, choose_subnet};

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    /// Name as people see it.
    pub(super) name: String,
    /// Where people and sensors reach it.
    pub(super) address: String,
    /// Where the other hosts reach it.
    pub(super) internal: Ipv4Addr,
    /// What runs on it.
    pub(super) roles: BTreeSet<Role>,
    /// Whether it manages the swarm.
    pub(super) manages: bool,
}

impl Machine {
    /// The addresses that its certificate is for: where the other hosts reach it, and nobody else.
    pub(super) fn certified(&self) -> Vec<String> {
        vec![self.internal.to_string()]
    }
}

/// All of them.
#[derive(Debug, Clone)]
pub(super) struct Inventory {
    /// The configuration.
    pub(super) config: Config,
    /// The hosts, in the order of `config.json`.
    pub(super) machines: Vec<Machine>,
    /// Names in the Engine.
    pub(super) names: Names,
    /// Addresses of applications, the same on every host: no packet of theirs leaves it.
    pub(super) subnet: Subnet,
    /// What opens private keys that are encrypted, by file.
    pub(super) passphrases: BTreeMap<PathBuf, Passphrase>,
    /// For how many hosts something is done at once.
    pub(super) at_once: usize,
}

impl Inventory {
    /// Does something for all hosts at once, or for as many as the admin allows; what came of it, in their order.
    pub(super) async fn each<W: Future>(&self, all: impl IntoIterator<Item = W>) -> Vec<W::Output> {
        stream::iter(all).buffered(self.at_once).collect().await
    }

    /// Decides who does what.
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        let copies = Copies {
            brokers: config.brokers(),
            databases: config.databases(),
            services: config.copies,
        };
        let roles = place(&config.hosts, copies)?;
        let machines = config
            .hosts
            .iter()
            .zip(roles)
            .enumerate()
            .map(|(index, (host, roles))| {
                let address = host.address.clone().unwrap_or_default();
                let internal = host
                    .internal_address
                    .or_else(|| address.parse().ok())
                    .ok_or_else(|| format!("hosts[{index}] has no internal address"))?;
                Ok(Machine {
                    name: host.name.clone().unwrap_or_else(|| address.clone()),
                    internal,
                    address,
                    roles,
                    manages: index < managers(config.hosts.len()),
                })
            });
        Ok(Self {
            machines: machines.collect::<Result<_, String>>()?,
            names: Names::new(&config.name),
            subnet: choose_subnet(&config.name, &[]).ok_or("no network is free for applications")?,
            config: config.clone(),
            passphrases: BTreeMap::new(),
            at_once: usize::MAX,
        })
    }

    /// Files of all private keys that are used, each once.
    pub(super) fn keys(&self) -> BTreeSet<PathBuf> {
        (0..self.machines.len())
            .filter_map(|index| self.target(index))
            .flat_map(|target| {
                let bastion = target.bastion.and_then(|bastion| bastion.identity.key);
                target.identity.key.into_iter().chain(bastion)
            })
            .collect()
    }

    /// Whether a piece of infrastructure is run by the platform, and not by somebody else.
    pub(super) fn manages(&self, role: Role) -> bool {
        match role {
            Role::Kafka => self.config.kafka.mode == Mode::Managed,
            Role::Mongodb => self.config.mongodb.mode == Mode::Managed,
            _ => true,
        }
    }

    /// The hosts that run something.
    pub(super) fn all(&self, role: Role) -> impl Iterator<Item = &Machine> {
        self.machines
            .iter()
            .filter(move |machine| machine.roles.contains(&role))
    }

    /// `address:port` of every copy of something, as one host asks them: its own first, and not every host the same one next. Last the hosts
    /// where the monitor may start another.
    pub(super) fn gateways(&self, role: Role, port: u16, near: &Machine) -> Vec<SocketAddr> {
        let from = self.machines.iter().position(|machine| machine == near).unwrap_or(0);
        let order = self.machines.iter().cycle().skip(from).take(self.machines.len());
        let mut order: Vec<&Machine> = order.collect();
        order.sort_by_key(|machine| !machine.roles.contains(&role));
        order
            .into_iter()
            .map(|machine| (machine.internal, port).into())
            .collect()
    }

    /// Internal address of the host that runs something of which there is one.
    pub(super) fn of(&self, role: Role) -> Ipv4Addr {
        let machine = self.machines.iter().find(|machine| machine.roles.contains(&role));
        machine.map_or(Ipv4Addr::LOCALHOST, |machine| machine.internal)
    }

    /// `address:port` of something.
    pub(super) fn at(&self, role: Role, port: u16) -> SocketAddr {
        (self.of(role), port).into()
    }

    /// Where people open the console: any of these.
    pub(super) fn consoles(&self) -> Vec<String> {
        let hosts = self.all(Role::ApplicationManager);
        hosts
            .map(|machine| console_address(&self.config, &machine.address))
            .collect()
    }

    /// The way to a host.
    pub(super) fn target(&self, index: usize) -> Option<Target> {
        let (host, machine) = (self.config.hosts.get(index)?, self.machines.get(index)?);
        Some(self.way(&machine.name, &machine.address, &host.ssh))
    }

    /// By which keys hosts know each other at their internal addresses: those by which this machine knows them. A file that cannot be read says
    /// nothing; then this machine does not get in either.
    pub(super) fn known_hosts(&self) -> String {
        let mut lines: Vec<String> = (0..self.machines.len())
            .filter_map(|index| Some((self.target(index)?, self.machines.get(index)?)))
            .filter(|(target, _)| target.trust.fingerprint.is_none())
            .flat_map(|(target, machine)| known_as(&target, &machine.internal.to_string()).unwrap_or_default())
            .collect();
        lines.sort();
        lines.dedup();
        lines.into_iter().map(|line| line + "\n").collect()
    }

    /// The way to whatever has a name, an address and perhaps words of its own about SSH.
    pub(super) fn way(&self, name: &str, address: &str, own: &Ssh) -> Target {
        let ssh = own.or(&self.config.ssh);
        let known_hosts = ssh.known_hosts.clone().unwrap_or_else(default_known_hosts);
        let user = ssh.user.clone().unwrap_or_else(|| "ec2-user".to_owned());
        let trust = |fingerprint: Option<String>| Trust {
            fingerprint,
            known_hosts: known_hosts.clone(),
        };
        let identity = |key: Option<PathBuf>| {
            let key = key.map(|path| home(&path));
            Identity {
                agent: key.is_none().into(),
                passphrase: key.as_ref().and_then(|path| self.passphrases.get(path)).cloned(),
                key,
            }
        };
        let bastion = ssh.bastion.as_ref().map(|bastion| {
            Box::new(Target {
                name: bastion.address.clone(),
                address: bastion.address.clone(),
                port: bastion.port.unwrap_or(22),
                user: bastion.user.clone().unwrap_or_else(|| user.clone()),
                identity: identity(bastion.key.clone().or_else(|| ssh.key.clone())),
                trust: trust(bastion.host_key.clone()),
                bastion: None,
                timeouts: Timeouts::default(),
            })
        });
        Target {
            name: name.to_owned(),
            address: address.to_owned(),
            port: ssh.port.unwrap_or(22),
            identity: identity(ssh.key.clone()),
            trust: trust(ssh.host_key.clone()),
            user,
            bastion,
            timeouts: Timeouts::default(),
        }
    }
}

/// `~` is the person's home.
fn home(path: &std::path::Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.to_owned(),
    }
}

fn default_known_hosts() -> PathBuf {
    home(std::path::Path::new("~/.ssh/known_hosts"))
}

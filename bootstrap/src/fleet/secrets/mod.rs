//! Secrets of an installation on many hosts: they live on the hosts, not on the admin's machine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::config::Config;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::certificates::Authority;
use super::inventory::Machine;
use crate::accounts::{self, Passwords};
use crate::secrets::{self, FIRST_PASSWORD, HOST_TOKEN, TOKEN_KEY};
use crate::{files, kafka};
use hosts::ssh::{make_key, public_line};

/// Key and certificate of the authority, and what a host shows; the first two are the same everywhere.
const AUTHORITY_KEY: &str = "ca.key";
const AUTHORITY: &str = "ca.pem";
const HOST: &str = "host.pem";
/// The key that `hostctl` of every host lets in.
pub(super) const HOSTCTL_KEY: &str = "hostctl.key";
/// Which Kafka it is: the same on all brokers, and another one when hosts are made from a backup.
const KAFKA_ID: &str = "kafka.id";
/// There where the database comes from a backup.
const RESTORED: &str = "restored";
/// How often the passwords of accounts were made anew: of two sets the newer holds, whoever was away or interrupted.
const GENERATION: &str = "accounts.generation";

/// What every host knows beside passwords.
const LASTING: [&str; 2] = [KAFKA_ID, RESTORED];

/// All secrets of an installation.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Secrets {
    /// By the name of their file.
    named: BTreeMap<String, String>,
    /// See [`GENERATION`].
    generation: u64,
    /// Who signs for hosts.
    authority: Option<Authority>,
    /// The authority that hosts believe, where nobody who was asked has its key.
    believed: Option<String>,
    /// See [`HOSTCTL_KEY`].
    hostctl: Option<String>,
    /// Private key and certificate of each host, by its internal address.
    hosts: BTreeMap<Ipv4Addr, String>,
    /// Authorities of infrastructure that somebody else runs, by the name of their file.
    authorities: Vec<(&'static str, String)>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.named.keys()).finish()
    }
}

/// A script that prints what a host has.
pub(super) fn script(data_dir: &str) -> String {
    let accounts = accounts::names().join(" ");
    format!(
        "cd {data_dir}/secrets 2>/dev/null || exit 0\nfor name in {GENERATION} {TOKEN_KEY} {HOST_TOKEN} {KAFKA_ID} {RESTORED} {FIRST_PASSWORD} {accounts}; do [ -s $name ] && echo \"$name $(cat $name)\"; done; for name in {AUTHORITY_KEY} {HOST} {HOSTCTL_KEY} ../etc/{AUTHORITY}; do [ -s $name ] && echo \"$(basename $name) $(base64 -w0 $name)\"; done; exit 0"
    )
}

/// What a host said, without which Kafka it is: beside a database from a backup begins another one, whose id hosts have that were reached before.
pub(super) fn without_kafka(said: &str) -> String {
    let lines = said.lines().filter(|line| line.split(' ').next() != Some(KAFKA_ID));
    lines.map(|line| format!("{line}\n")).collect()
}

impl Secrets {
    /// Takes over what a host said. Tells whether it agrees with what other hosts said before.
    pub(super) fn learn(&mut self, internal: Ipv4Addr, said: &str) -> bool {
        let (mut agrees, mut files) = (true, BTreeMap::new());
        let accounts = accounts::names();
        let lines = || said.lines().filter_map(|line| line.split_once(' '));
        let generation = lines().find(|(name, _)| *name == GENERATION);
        let generation: u64 = generation
            .and_then(|(_, number)| number.parse().ok())
            .unwrap_or_default();
        if generation > self.generation {
            self.forget();
            self.generation = generation;
        }
        let stale = generation < self.generation;
        for (name, value) in lines().filter(|(name, _)| *name != GENERATION) {
            if stale && accounts.iter().any(|account| account == name) {
                continue;
            }
            if [AUTHORITY_KEY, AUTHORITY, HOST, HOSTCTL_KEY].contains(&name) {
                let text = BASE64
                    .decode(value)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok());
                files.extend(text.map(|text| (name, text)));
                continue;
            }
            let known = self.named.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            agrees &= name != TOKEN_KEY || known == value;
        }
        self.hosts.extend(files.remove(HOST).map(|text| (internal, text)));
        let (key, certificate) = (files.remove(AUTHORITY_KEY), files.remove(AUTHORITY));
        if stale {
            return agrees;
        }
        if self.hostctl.is_none() {
            self.hostctl = files.remove(HOSTCTL_KEY);
        }
        if self.believed.is_none() {
            self.believed.clone_from(&certificate);
        }
        if let (None, Some(key), Some(certificate)) = (&self.authority, key, certificate) {
            self.authority = Some(Authority { key, certificate }).filter(Authority::is_whole);
        }
        agrees
    }

    /// Forgets the passwords of accounts, and who signs.
    fn forget(&mut self) {
        let names = accounts::names();
        self.named.retain(|name, _| !names.contains(name));
        (self.authority, self.believed, self.hostctl) = (None, None, None);
    }

    /// Whether the installation has its key: then neither that nor the first admin's password is made up any more.
    pub(super) fn known(&self) -> bool {
        self.named.contains_key(TOKEN_KEY)
    }

    /// Forgets the passwords of accounts and all certificates; what is missing is made anew.
    pub(super) fn rotate(&mut self) {
        self.forget();
        self.hosts.clear();
        self.generation += 1;
    }

    /// Every broker was asked, and none has data: the Kafka that begins is another one.
    pub(super) fn forget_kafka(&mut self) {
        self.named.remove(KAFKA_ID);
    }

    /// The database comes from a backup.
    pub(super) fn set_restored(&mut self) {
        self.named.insert(RESTORED.to_owned(), "yes".to_owned());
    }

    /// Whether the database comes from a backup.
    pub(super) fn restored(&self) -> bool {
        self.named.contains_key(RESTORED)
    }

    /// Makes what is missing. The first admin's password is made with the key only: once used it is gone for good. `new_kafka`: no broker has data.
    pub(super) fn complete(&mut self, config: &Config, new_kafka: bool) -> Result<()> {
        if !self.named.contains_key(KAFKA_ID) {
            // Earlier releases named it after the installation.
            let id = if self.known() && !new_kafka {
                kafka::cluster_id(&config.name)
            } else {
                kafka::new_id()
            };
            self.named.insert(KAFKA_ID.to_owned(), id);
        }
        if !self.named.contains_key(TOKEN_KEY) {
            self.named.insert(TOKEN_KEY.to_owned(), secrets::random_key());
            self.named
                .insert(FIRST_PASSWORD.to_owned(), secrets::readable_password());
        }
        for name in accounts::names().into_iter().chain([HOST_TOKEN.to_owned()]) {
            self.named.entry(name).or_insert_with(secrets::random_key);
        }
        if self.hostctl.is_none() {
            let made = make_key(&format!("hostctl of {}", config.name));
            let (private, _) = made.map_err(|problem| anyhow::anyhow!("no key could be made: {problem:?}"))?;
            self.hostctl = Some(private);
        }
        for (name, value) in secrets::brought(config)? {
            self.named.insert(name.to_owned(), value);
        }
        self.authorities = secrets::authorities(config)?;
        Ok(())
    }

    /// Authorities that an admin brought, by the name of their file among the settings.
    pub(super) fn authorities(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.authorities.iter().map(|(name, text)| (*name, text.as_str()))
    }

    /// Makes the certificates that are missing or soon over. `complete`: whoever may have the authority's key was asked, so that one
    /// that nobody has is made anew. Returns the names of hosts that wait for one who has it.
    pub(super) fn certify(
        &mut self,
        installation: &str,
        machines: &[Machine],
        complete: bool,
        now: Timestamp,
    ) -> Result<Vec<String>> {
        let known = self.authority.take().filter(|authority| authority.lasts(now));
        let authority = match (known, &self.believed) {
            (Some(authority), _) => authority,
            (None, Some(certificate)) if !complete => Authority {
                key: String::new(),
                certificate: certificate.clone(),
            },
            (None, _) => Authority::make(installation, now)?,
        };
        let mut waiting = Vec::new();
        for machine in machines {
            let names = machine.certified();
            let own = self.hosts.get(&machine.internal);
            if own.is_some_and(|own| authority.vouches(own, &names, now)) {
                continue;
            }
            if authority.key.is_empty() {
                waiting.push(machine.name.clone());
            } else {
                self.hosts.insert(machine.internal, authority.issue(&names, now)?);
            }
        }
        self.authority = Some(authority);
        Ok(waiting)
    }

    /// What a host shows, and its place among the secrets.
    pub(super) fn host(&self, internal: Ipv4Addr) -> (&'static str, &str) {
        (HOST, self.hosts.get(&internal).map(String::as_str).unwrap_or_default())
    }

    /// The authority that every host believes, and its place among the settings.
    pub(super) fn authority(&self) -> (&'static str, &str) {
        let certificate = self.authority.as_ref().map(|authority| authority.certificate.as_str());
        (AUTHORITY, certificate.unwrap_or_default())
    }

    /// The authority's key, for the hosts that manage the swarm and thereby hold its authority, too.
    pub(super) fn authority_key(&self) -> (&'static str, &str) {
        let key = self.authority.as_ref().map(|authority| authority.key.as_str());
        (AUTHORITY_KEY, key.unwrap_or_default())
    }

    /// The monitor's key.
    pub(super) fn hostctl_key(&self) -> &str {
        self.hostctl.as_deref().unwrap_or_default()
    }

    /// The line by which hosts know it.
    pub(super) fn hostctl_line(&self) -> String {
        public_line(self.hostctl_key()).unwrap_or_default()
    }

    /// Which Kafka it is.
    pub(super) fn kafka_id(&self) -> &str {
        self.named.get(KAFKA_ID).map(String::as_str).unwrap_or_default()
    }

    /// By which members of a replica set know each other. It lasts: members with different ones would not be one set any more.
    pub(super) fn members_key(&self) -> String {
        let key = self.named.get(TOKEN_KEY).map(String::as_str).unwrap_or_default();
        BASE64.encode(Sha256::digest(format!("members of mongodb {key}")))
    }

    /// The passwords of accounts.
    pub(super) fn passwords(&self) -> Passwords {
        Passwords::of(&self.named)
    }

    /// The first admin's one-time password, while it is there.
    pub(super) fn first_password(&self) -> Option<&str> {
        self.named.get(FIRST_PASSWORD).map(String::as_str)
    }

    /// The passwords of accounts, for every host, which Kafka it is, and last how often they were made anew: a host that has this has all of them.
    pub(super) fn accounts(&self) -> Vec<(String, String)> {
        let names = accounts::names();
        let passwords = self.named.iter().filter(|(name, _)| names.contains(name));
        let mut all: Vec<_> = passwords.map(|(name, value)| (name.clone(), value.clone())).collect();
        // Before a broker is made: one that was interrupted goes on with the same.
        let lasting = self.named.iter().filter(|(name, _)| LASTING.contains(&name.as_str()));
        all.extend(lasting.map(|(name, value)| (name.clone(), value.clone())));
        all.push((GENERATION.to_owned(), self.generation.to_string()));
        all
    }

    /// The other files of a host. Only those with the console have the first admin's password.
    pub(super) fn files(&self, console: bool) -> BTreeMap<String, String> {
        let (mut files, accounts) = (self.named.clone(), accounts::names());
        files.retain(|name, _| {
            !accounts.contains(name) && !LASTING.contains(&name.as_str()) && (console || name != FIRST_PASSWORD)
        });
        files
    }

    /// Changes with what a service reads at its start.
    pub(super) fn fingerprint(&self, service: &str) -> String {
        let lasting = self.named.iter().filter(|(name, _)| {
            *name != FIRST_PASSWORD
                && !LASTING.contains(&name.as_str())
                && (secrets::shows_certificate(service) || *name != secrets::PUBLIC_CERTIFICATE)
        });
        let named = lasting.flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let brought = self.authorities.iter().map(|(_, text)| text.as_bytes());
        let parts: Vec<&[u8]> = named.chain(brought).chain([self.authority().1.as_bytes()]).collect();
        files::fingerprint(&parts)
    }
}

#[cfg(test)]
mod tests;

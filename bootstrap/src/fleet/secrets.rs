//! Secrets of an installation on many hosts: they live on the hosts, not on the admin's machine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::config::Config;
use jiff::Timestamp;

use super::certificates::Authority;
use super::inventory::Machine;
use crate::accounts::{self, Passwords};
use crate::files;
use crate::secrets::{self, FIRST_PASSWORD, HOST_TOKEN, TOKEN_KEY};
use hosts::ssh::{make_key, public_line};

/// Key and certificate of the authority, and what a host shows; the first two are the same everywhere.
const AUTHORITY_KEY: &str = "ca.key";
const AUTHORITY: &str = "ca.pem";
const HOST: &str = "host.pem";
/// The key that `hostctl` of every host lets in.
pub(super) const HOSTCTL_KEY: &str = "hostctl.key";
/// How often the passwords of accounts were made anew: of two sets the newer holds, whoever was away or interrupted.
const GENERATION: &str = "accounts.generation";

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
        "cd {data_dir}/secrets 2>/dev/null || exit 0\nfor name in {GENERATION} {TOKEN_KEY} {HOST_TOKEN} {FIRST_PASSWORD} {accounts}; do [ -s $name ] && echo \"$name $(cat $name)\"; done; for name in {AUTHORITY_KEY} {HOST} {HOSTCTL_KEY} ../etc/{AUTHORITY}; do [ -s $name ] && echo \"$(basename $name) $(base64 -w0 $name)\"; done; exit 0"
    )
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

    /// Makes what is missing. The first admin's password is made with the key only: once used it is gone for good.
    pub(super) fn complete(&mut self, config: &Config) -> Result<()> {
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

    /// The passwords of accounts.
    pub(super) fn passwords(&self) -> Passwords {
        Passwords::of(&self.named)
    }

    /// The first admin's one-time password, while it is there.
    pub(super) fn first_password(&self) -> Option<&str> {
        self.named.get(FIRST_PASSWORD).map(String::as_str)
    }

    /// The passwords of accounts, for every host, and last how often they were made anew: a host that has this has all of them.
    pub(super) fn accounts(&self) -> Vec<(String, String)> {
        let names = accounts::names();
        let passwords = self.named.iter().filter(|(name, _)| names.contains(name));
        let mut all: Vec<_> = passwords.map(|(name, value)| (name.clone(), value.clone())).collect();
        all.push((GENERATION.to_owned(), self.generation.to_string()));
        all
    }

    /// The other files of a host. Only those with the console have the first admin's password.
    pub(super) fn files(&self, console: bool) -> BTreeMap<String, String> {
        let (mut files, accounts) = (self.named.clone(), accounts::names());
        files.retain(|name, _| !accounts.contains(name) && (console || name != FIRST_PASSWORD));
        files
    }

    /// Changes with what a service reads at its start.
    pub(super) fn fingerprint(&self, service: &str) -> String {
        let lasting = self.named.iter().filter(|(name, _)| {
            *name != FIRST_PASSWORD && (secrets::shows_certificate(service) || *name != secrets::PUBLIC_CERTIFICATE)
        });
        let named = lasting.flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let brought = self.authorities.iter().map(|(_, text)| text.as_bytes());
        let parts: Vec<&[u8]> = named.chain(brought).chain([self.authority().1.as_bytes()]).collect();
        files::fingerprint(&parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    #[test]
    fn what_hosts_have_is_kept() {
        let mut secrets = Secrets::default();
        assert!(secrets.learn(ONE, "token.key aa\nhost.token bb\n"));
        assert!(!secrets.learn(ONE, "token.key other\n"), "two installations in one");
        secrets.complete(&Config::default()).unwrap();
        let before = secrets.fingerprint("scheduler");
        secrets.complete(&Config::default()).unwrap();
        assert_eq!(secrets.files(true)["token.key"], "aa");
        assert_eq!(secrets.first_password(), None, "it was used long ago");
        assert_eq!(secrets.fingerprint("scheduler"), before);
        assert!(!format!("{secrets:?}").contains("aa"));
    }

    #[test]
    fn a_new_installation_gets_all_and_only_the_console_knows_the_password() {
        let mut secrets = Secrets::default();
        secrets.complete(&Config::default()).unwrap();
        assert!(secrets.first_password().is_some());
        assert_eq!(secrets.files(true).len(), 3);
        assert_eq!(secrets.files(false).len(), 2);
        assert_eq!(secrets.accounts().len(), 11);
    }

    #[test]
    fn certificates_are_kept_by_hosts_and_the_key_by_managers() {
        let machine = |last| Machine {
            name: format!("h{last}"),
            address: format!("192.0.2.{last}"),
            internal: Ipv4Addr::new(10, 0, 0, last),
            roles: std::collections::BTreeSet::new(),
            manages: true,
        };
        let (machines, now) = ([machine(1), machine(2)], Timestamp::from_second(1_800_000_000).unwrap());
        let mut first = Secrets::default();
        first.certify("iot", &machines, true, now).unwrap();
        // What the hosts say at the next `up`.
        let said = |secrets: &Secrets, machine: &Machine, key: bool| {
            let mut files = vec![secrets.host(machine.internal), secrets.authority()];
            files.extend(key.then(|| secrets.authority_key()));
            let lines = files
                .into_iter()
                .map(|(name, text)| format!("{name} {}\n", BASE64.encode(text)));
            lines.collect::<String>()
        };
        let mut next = Secrets::default();
        for machine in &machines {
            assert!(next.learn(machine.internal, &said(&first, machine, true)));
        }
        next.certify("iot", &machines, true, now).unwrap();
        assert_eq!((next.host(ONE), next.authority()), (first.host(ONE), first.authority()));
        // A host comes that has none.
        let more = [machine(1), machine(2), machine(3)];
        assert!(next.certify("iot", &more, true, now).unwrap().is_empty());
        assert_eq!(next.host(ONE), first.host(ONE));
        assert!(!next.host(Ipv4Addr::new(10, 0, 0, 3)).1.is_empty());
        // The host with the key cannot be asked: what is there stays, and nobody new is certified.
        let mut without = Secrets::default();
        without.learn(ONE, &said(&first, &machines[0], false));
        assert_eq!(without.certify("iot", &more, false, now).unwrap(), ["h2", "h3"]);
        assert_eq!(
            (without.host(ONE), without.authority()),
            (first.host(ONE), first.authority())
        );
        assert_eq!(without.authority_key().1, "");
        // Everybody was asked, and nobody has it.
        let mut lost = Secrets::default();
        lost.learn(ONE, &said(&first, &machines[0], false));
        assert!(lost.certify("iot", &more, true, now).unwrap().is_empty());
        assert_ne!(lost.authority(), first.authority());
    }

    #[test]
    fn of_two_sets_of_passwords_the_newer_holds() {
        let password = |secrets: &Secrets| secrets.passwords().service("scheduler").to_owned();
        let said = |secrets: &Secrets| {
            let lines = secrets
                .accounts()
                .into_iter()
                .map(|(name, value)| format!("{name} {value}\n"));
            lines.chain(["token.key k\n".to_owned()]).collect::<String>()
        };
        let mut old = Secrets::default();
        old.complete(&Config::default()).unwrap();
        let mut new = old.clone();
        new.rotate();
        new.complete(&Config::default()).unwrap();
        assert_ne!(password(&new), password(&old));
        for order in [[&old, &new], [&new, &old]] {
            let mut learned = Secrets::default();
            for (last, secrets) in (1..).zip(order) {
                assert!(learned.learn(Ipv4Addr::new(10, 0, 0, last), &said(secrets)));
            }
            learned.complete(&Config::default()).unwrap();
            assert_eq!(learned.accounts(), new.accounts());
        }
    }
}

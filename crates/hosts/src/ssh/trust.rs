//! Whether the key that a host shows is the one it had.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use russh::Preferred;
use russh::keys::known_hosts::known_host_keys_path;
use russh::keys::ssh_key::Fingerprint;
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyBase64 as _};

use super::error::SshError;
use super::target::Target;

/// The key of a host as it was shown, not yet trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// Such as `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`, to be compared with what `ssh-keygen -l` prints on the machine itself.
    pub fingerprint: String,
    /// Line for `known_hosts`.
    pub line: String,
    host: String,
    address: String,
    port: u16,
    key: PublicKey,
}

impl HostKey {
    pub(super) fn new(target: &Target, key: PublicKey) -> Self {
        let algorithm = key.algorithm().to_string();
        Self {
            fingerprint: fingerprint(&key),
            line: format!("{} {algorithm} {}", target.entry(), key.public_key_base64()),
            algorithm,
            host: target.name.clone(),
            address: target.address.to_lowercase(),
            port: target.port,
            key,
        }
    }
}

/// Writes the key of a host into `known_hosts`; the file and its folder are made when they are not there. A key that is there
/// already is not written again.
///
/// # Errors
/// When another key is known for the host, so that nobody replaces one by accident, or when the file cannot be written.
pub fn learn(known_hosts: &Path, key: &HostKey) -> Result<(), SshError> {
    let known = recorded(known_hosts, &key.address, key.port)?;
    if known.iter().any(|known| known.key_data() == key.key.key_data()) {
        return Ok(());
    }
    if !known.is_empty() {
        let entry = key.line.split(' ').next().unwrap_or_default();
        return Err(SshError::HostKeyChanged {
            host: key.host.clone(),
            known: known.iter().map(fingerprint).collect(),
            found: key.fingerprint.clone(),
            remedy: forget(entry, known_hosts),
        });
    }
    append(known_hosts, &key.line).map_err(|error| unusable(known_hosts, error))
}

/// Says whether a key that a host has shown is the one that is known of it.
///
/// # Errors
/// As when signing in: nothing is known of it, or another key.
pub fn check(target: &Target, shown: &HostKey) -> Result<(), SshError> {
    Expectation::of(target)?.check(target, &shown.key)
}

/// Returns lines for a `known_hosts` of another machine, by which it knows a host at `address` as well as this machine does. None where
/// only a fingerprint is known.
///
/// # Errors
/// When the file cannot be read.
pub fn known_as(target: &Target, address: &str) -> Result<Vec<String>, SshError> {
    let keys = recorded(&target.trust.known_hosts, &target.address.to_lowercase(), target.port)?;
    let there = Target {
        address: address.to_owned(),
        ..target.clone()
    };
    let line = |key: PublicKey| HostKey::new(&there, key).line;
    Ok(keys.into_iter().map(line).collect())
}

fn append(known_hosts: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = known_hosts.parent() {
        fs::create_dir_all(folder)?;
    }
    let unfinished = fs::read(known_hosts).is_ok_and(|text| text.last().is_some_and(|last| *last != b'\n'));
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(known_hosts)?;
    let start = if unfinished { "\n" } else { "" };
    // One write, so that two that learn at once do not mix their lines.
    file.write_all(format!("{start}{line}\n").as_bytes())?;
    file.sync_all()
}

/// What a host has to show.
#[derive(Debug, Clone)]
pub(super) enum Expectation {
    /// A key with this fingerprint.
    Pinned(Fingerprint),
    /// One of these keys; with none of them the host is unknown.
    Recorded {
        keys: Vec<PublicKey>,
        revoked: Vec<String>,
        file: PathBuf,
    },
    /// Nothing: its key is only looked at.
    Look,
}

impl Expectation {
    /// Reads what is known of a host.
    pub(super) fn of(target: &Target) -> Result<Self, SshError> {
        let file = &target.trust.known_hosts;
        if let Some(pinned) = &target.trust.fingerprint {
            let fingerprint = pinned.trim().parse().map_err(|_| SshError::Fingerprint {
                host: target.name.clone(),
                text: pinned.clone(),
            })?;
            return Ok(Self::Pinned(fingerprint));
        }
        Ok(Self::Recorded {
            keys: recorded(file, &target.address.to_lowercase(), target.port)?,
            revoked: revoked(file).map_err(|error| unusable(file, error))?,
            file: file.clone(),
        })
    }

    /// Algorithms of host keys in order. Those that are known come first: a host with several keys then shows the known one.
    /// `ssh-rsa` is left out, it signs with SHA-1.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let known: Vec<Algorithm> = match self {
            Self::Recorded { keys, .. } => keys.iter().map(PublicKey::algorithm).collect(),
            Self::Pinned(_) | Self::Look => Vec::new(),
        };
        let is_known = |algorithm: &Algorithm| match algorithm {
            Algorithm::Rsa { .. } => known.iter().any(|known| matches!(known, Algorithm::Rsa { .. })),
            other => known.contains(other),
        };
        let safe = Preferred::DEFAULT
            .key
            .iter()
            .filter(|algorithm| !matches!(algorithm, Algorithm::Rsa { hash: None }));
        let (first, rest): (Vec<Algorithm>, Vec<Algorithm>) = safe.cloned().partition(is_known);
        first.into_iter().chain(rest).collect()
    }

    /// Decides on the key that a host shows.
    ///
    /// A host that is known by one algorithm and shows a key of another counts as changed: who sits in between would choose an
    /// algorithm of which nothing is known.
    pub(super) fn check(&self, target: &Target, found: &PublicKey) -> Result<(), SshError> {
        let changed = |known: Vec<String>, remedy| SshError::HostKeyChanged {
            host: target.name.clone(),
            known,
            found: fingerprint(found),
            remedy,
        };
        match self {
            Self::Look => Ok(()),
            Self::Pinned(pinned) if found.fingerprint(pinned.algorithm()) == *pinned => Ok(()),
            Self::Pinned(pinned) => Err(changed(
                vec![pinned.to_string()],
                "write its new fingerprint into the configuration".to_owned(),
            )),
            Self::Recorded { revoked, file, .. } if revoked.contains(&found.public_key_base64()) => Err(changed(
                vec![format!("that this key is revoked by {}", file.display())],
                "give it a new host key".to_owned(),
            )),
            Self::Recorded { keys, .. } if keys.iter().any(|known| known.key_data() == found.key_data()) => Ok(()),
            Self::Recorded { keys, .. } if keys.is_empty() => Err(SshError::HostKeyUnknown {
                host: target.name.clone(),
                algorithm: found.algorithm().to_string(),
                fingerprint: fingerprint(found),
            }),
            Self::Recorded { keys, file, .. } => {
                let known = keys.iter().map(fingerprint).collect();
                Err(changed(known, forget(&target.entry(), file)))
            }
        }
    }
}

/// Keys in the file for a host.
///
/// `check_known_hosts_path` is not used: with several keys of one algorithm it takes the right one for a changed one.
fn recorded(file: &Path, address: &str, port: u16) -> Result<Vec<PublicKey>, SshError> {
    let keys = known_host_keys_path(address, port, file).map_err(|error| unusable(file, error))?;
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// Keys that nobody may show any more, whatever the host: OpenSSH marks them so.
fn revoked(file: &Path) -> std::io::Result<Vec<String>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let lines = text.lines().filter_map(|line| line.strip_prefix("@revoked"));
    Ok(lines
        .filter_map(|line| line.split_whitespace().nth(2).map(str::to_owned))
        .collect())
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn forget(entry: &str, file: &Path) -> String {
    format!(
        "run `ssh-keygen -R '{entry}' -f '{}'` and trust it again",
        file.display()
    )
}

fn unusable(file: &Path, error: impl std::fmt::Display) -> SshError {
    SshError::KnownHosts {
        path: file.to_owned(),
        reason: error.to_string(),
    }
}

//! Which host, as whom, and how its key is known.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A host and how it is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name in the configuration, for messages.
    pub name: String,
    /// Name or address by which it is reached; behind a bastion, as the bastion sees it.
    pub address: String,
    /// Port of its SSH server.
    pub port: u16,
    /// User to sign in as.
    pub user: String,
    /// What that user proves itself with.
    pub identity: Identity,
    /// What is known of the key of the host.
    pub trust: Trust,
    /// Host through which it is reached, with a user, an identity and a trust of its own.
    pub bastion: Option<Box<Target>>,
    /// How long is waited for it.
    pub timeouts: Timeouts,
}

impl Target {
    /// Address and port, as people write them.
    pub(super) fn place(&self) -> String {
        if self.address.contains(':') {
            format!("[{}]:{}", self.address, self.port)
        } else {
            format!("{}:{}", self.address, self.port)
        }
    }

    /// Its entry in `known_hosts`: the port is written only when it is another than 22.
    pub(super) fn entry(&self) -> String {
        let address = self.address.to_lowercase();
        if self.port == 22 {
            address
        } else {
            format!("[{address}]:{}", self.port)
        }
    }
}

/// Proof of who signs in. The file's key is offered first, then those of the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Private key; only its owner may be able to read the file.
    pub key: Option<PathBuf>,
    /// Opens the key when it is encrypted.
    pub passphrase: Option<Passphrase>,
    /// Agent that holds keys.
    pub agent: Agent,
}

/// Where an agent listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Agent {
    /// None is asked.
    #[default]
    Off,
    /// At `SSH_AUTH_SOCK`.
    Environment,
    /// At this socket.
    Socket(PathBuf),
}

impl From<bool> for Agent {
    fn from(wanted: bool) -> Self {
        if wanted { Self::Environment } else { Self::Off }
    }
}

/// A secret text that no `Debug` output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String);

impl Passphrase {
    /// Takes the text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Passphrase(***)")
    }
}

/// What is known of the key of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// `SHA256:…` as `ssh-keygen -l` prints it. When it is there, `known_hosts` is not read. A host with keys of several
    /// algorithms shows Ed25519 before ECDSA before RSA, so this is to be the fingerprint of the first it has.
    pub fingerprint: Option<String>,
    /// A file as OpenSSH writes it; hashed names and `[host]:port` are understood, certificate authorities are not.
    pub known_hosts: PathBuf,
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands: name look-up and TCP, or the way through the bastion.
    pub connect: Duration,
    /// Until banner, keys and ciphers are exchanged.
    pub handshake: Duration,
    /// Until all keys were offered; an agent may ask a person in that time.
    pub authentication: Duration,
    /// Until a part of an upload is acknowledged, of which up to 2 MiB are on their way; whole seconds, at least one. However
    /// large a file, it is not given up while it moves at that pace.
    pub transfer: Duration,
    /// Silence after which the host is asked for a sign of life; after three unanswered ones the connection is given up.
    pub keepalive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(15),
            authentication: Duration::from_secs(30),
            transfer: Duration::from_secs(60),
            keepalive: Duration::from_secs(15),
        }
    }
}

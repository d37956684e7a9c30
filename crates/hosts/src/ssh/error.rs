//! Why a host could not be used, in words that say what to do.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::target::Target;

/// What was being done when it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The connection was being made.
    Connect,
    /// Banner, keys and ciphers were being exchanged.
    Handshake,
    /// The user was being proven.
    Authentication,
    /// A command was running.
    Command,
    /// A file was on its way.
    Upload,
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connect => "connecting",
            Self::Handshake => "the SSH handshake",
            Self::Authentication => "signing in",
            Self::Command => "a command",
            Self::Upload => "an upload",
        })
    }
}

/// What is wrong with a private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyProblem {
    /// The file is not there.
    Missing,
    /// The file cannot be read.
    Unreadable(String),
    /// Others than the owner may read or change the file; its mode.
    Permissions(u32),
    /// It is encrypted, and no passphrase is given.
    NeedsPassphrase,
    /// The passphrase does not open it.
    WrongPassphrase,
    /// The file holds something else than a private key.
    NotAKey(String),
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(formatter, "is not there; name an existing private key"),
            Self::Unreadable(reason) => write!(formatter, "cannot be read ({reason})"),
            Self::Permissions(mode) => write!(
                formatter,
                "may be used by others (mode {mode:04o}); run `chmod 600` on it"
            ),
            Self::NeedsPassphrase => write!(
                formatter,
                "is encrypted; give its passphrase, or add it to an SSH agent and use that"
            ),
            Self::WrongPassphrase => write!(formatter, "is not opened by the passphrase that was given"),
            Self::NotAKey(reason) => write!(formatter, "is not a private key that can be used ({reason})"),
        }
    }
}

/// Why a host could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// No connection came about.
    #[error("{host}: {place} cannot be reached: {reason}; check the address, the port and that the machine runs")]
    Unreachable {
        /// The host.
        host: String,
        /// Address and port.
        place: String,
        /// What the network said.
        reason: String,
    },
    /// The host was silent for too long.
    #[error(
        "{host}: no answer within {} during {phase}; check the machine and the network, then try again", seconds(.after)
    )]
    TimedOut {
        /// The host.
        host: String,
        /// What was waited for.
        phase: Phase,
        /// How long.
        after: Duration,
    },
    /// What answers speaks no SSH, or none that is safe.
    #[error(
        "{host}: what answers at {place} does not agree on SSH: {reason}; check the port and update its SSH server"
    )]
    Handshake {
        /// The host.
        host: String,
        /// Address and port.
        place: String,
        /// Why not.
        reason: String,
    },
    /// Nothing is known of the host's key.
    #[error(
        "{host}: its host key is not known ({algorithm} {fingerprint}); compare the fingerprint with `ssh-keygen -l` on the machine itself, then trust it"
    )]
    HostKeyUnknown {
        /// The host.
        host: String,
        /// Algorithm of the key it showed.
        algorithm: String,
        /// Fingerprint of the key it showed.
        fingerprint: String,
    },
    /// The host shows another key than it had: it was installed anew, or somebody sits in between.
    #[error(
        "{host}: its host key CHANGED: known is {}, found was {found}; nothing was sent. Somebody may be listening: only if the machine was installed anew, {remedy}", .known.join(", ")
    )]
    HostKeyChanged {
        /// The host.
        host: String,
        /// Fingerprints that are known.
        known: Vec<String>,
        /// Fingerprint of the key it showed.
        found: String,
        /// How the old key is forgotten.
        remedy: String,
    },
    /// The fingerprint of the configuration is none.
    #[error("{host}: `{text}` is no fingerprint; write it as `ssh-keygen -l` prints it, such as SHA256:…")]
    Fingerprint {
        /// The host.
        host: String,
        /// What stands there.
        text: String,
    },
    /// What is known of keys cannot be read or written.
    #[error("{path}: the known host keys cannot be used: {reason}; correct the file", path = .path.display())]
    KnownHosts {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The user was not let in.
    #[error("{host}: `{user}` was refused, tried {}; {hint}", offers(.tried))]
    Refused {
        /// The host.
        host: String,
        /// The user.
        user: String,
        /// What was offered.
        tried: Vec<String>,
        /// What to do.
        hint: String,
    },
    /// The private key cannot be used.
    #[error("{host}: the private key {path} {problem}", path = .path.display())]
    KeyFile {
        /// The host it was meant for.
        host: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: KeyProblem,
    },
    /// The agent cannot be asked.
    #[error("{host}: the SSH agent cannot be used: {reason}; start one and `ssh-add` the key, or name a key file")]
    Agent {
        /// The host it was meant for.
        host: String,
        /// Why not.
        reason: String,
    },
    /// The connection broke.
    #[error("{host}: the connection was closed during {phase} ({reason}); check the machine, then try again")]
    Closed {
        /// The host.
        host: String,
        /// What was being done.
        phase: Phase,
        /// What is known of it.
        reason: String,
    },
    /// The host does not run commands for this user, or one said more than is kept.
    #[error("{host}: {reason}")]
    Command {
        /// The host.
        host: String,
        /// Why not.
        reason: String,
    },
    /// The file to send cannot be read here.
    #[error("{host}: {path} cannot be read here to be sent: {reason}", path = .path.display())]
    Source {
        /// The host it was meant for.
        host: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// There is no room.
    #[error("{host}: the disk is full, {remote} needs {needed} bytes{}; free some space there", left(.free))]
    DiskFull {
        /// The host.
        host: String,
        /// Where the file was to be.
        remote: String,
        /// Size of the file.
        needed: u64,
        /// What is free, when the host tells.
        free: Option<u64>,
    },
    /// What arrived is not what was to be sent; it does not stand at its place.
    #[error(
        "{host}: {remote} arrived with the checksum {found} instead of {expected}; check the file here and send it again"
    )]
    Checksum {
        /// The host.
        host: String,
        /// Where the file was to be.
        remote: String,
        /// The checksum it should have.
        expected: String,
        /// The checksum it has.
        found: String,
    },
    /// The file could not be written there.
    #[error(
        "{host}: {remote} could not be written: {reason}; check that the folder exists and `{user}` may write there"
    )]
    Upload {
        /// The host.
        host: String,
        /// The user.
        user: String,
        /// Where the file was to be.
        remote: String,
        /// What the host said.
        reason: String,
    },
}

impl SshError {
    /// Whether trying again may help without anything being changed. A key that changed never passes.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Closed { .. }
        )
    }

    pub(super) fn timed_out(target: &Target, phase: Phase, after: Duration) -> Self {
        Self::TimedOut {
            host: target.name.clone(),
            phase,
            after,
        }
    }

    pub(super) fn closed(target: &Target, phase: Phase, reason: impl fmt::Display) -> Self {
        Self::Closed {
            host: target.name.clone(),
            phase,
            reason: reason.to_string(),
        }
    }

    pub(super) fn unreachable(target: &Target, reason: impl fmt::Display) -> Self {
        Self::Unreachable {
            host: target.name.clone(),
            place: target.place(),
            reason: reason.to_string(),
        }
    }
}

fn seconds(time: &Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

fn offers(tried: &[String]) -> String {
    if tried.is_empty() {
        "nothing".to_owned()
    } else {
        tried.join(", ")
    }
}

fn left(bytes: &Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!(" and {bytes} are free"))
}

//! A server, a key that it knows, and a target that leads to it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use tempfile::TempDir;

use super::server::{Server, Setup};
use super::uploads::Room;
use crate::ssh::{Agent, Identity, Session, SshError, Target, Timeouts, Trust};

/// For what has to come to an end by itself; the machine may be busy.
pub(super) const PLENTY: Duration = Duration::from_secs(60);

/// For what would never come.
pub(super) const SHORT: Duration = Duration::from_millis(300);

pub(super) const ECDSA: Algorithm = Algorithm::Ecdsa {
    curve: EcdsaCurve::NistP256,
};

pub(super) fn key(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), algorithm).unwrap()
}

pub(super) fn fingerprint(key: &PrivateKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

pub(super) fn write_key(path: &Path, key: &PrivateKey, mode: u32) {
    std::fs::write(path, key.to_openssh(LineEnding::LF).unwrap()).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A line of `known_hosts`.
pub(super) fn line(port: u16, key: &PrivateKey) -> String {
    let mut public = key.public_key().clone();
    public.set_comment("");
    format!("[127.0.0.1]:{port} {}\n", public.to_openssh().unwrap())
}

pub(super) struct World {
    pub(super) server: Server,
    pub(super) host_key: PrivateKey,
    pub(super) target: Target,
    /// What lies on this side: the key and what is known of hosts.
    pub(super) home: TempDir,
}

impl World {
    /// All is as it should be.
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Setup)) -> Self {
        Self::keyed(key(Algorithm::Ed25519), change).await
    }

    /// With a key of the user's.
    pub(super) async fn keyed(own: PrivateKey, change: impl FnOnce(&mut Setup)) -> Self {
        let host_key = key(Algorithm::Ed25519);
        let mut setup = Setup {
            keys: vec![host_key.clone()],
            user: "deployer",
            authorized: vec![own.public_key().clone()],
            thinks: false,
            runs_commands: true,
            forwards: true,
            sftp: true,
            room: Room::Plenty,
        };
        change(&mut setup);
        let host_key = setup.keys.first().unwrap().clone();
        let server = Server::start(setup).await;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("id");
        write_key(&path, &own, 0o600);
        let target = target(server.port, path, home.path().join("known_hosts"));
        let world = Self {
            server,
            host_key,
            target,
            home,
        };
        world.knows(&line(world.server.port, &world.host_key));
        world
    }

    /// Writes `known_hosts`.
    pub(super) fn knows(&self, text: &str) {
        std::fs::write(&self.target.trust.known_hosts, text).unwrap();
    }

    pub(super) fn known(&self) -> String {
        std::fs::read_to_string(&self.target.trust.known_hosts).unwrap()
    }

    pub(super) async fn session(&self) -> Session {
        Session::connect(&self.target).await.unwrap()
    }

    pub(super) async fn refusal(&self) -> SshError {
        refusal(&self.target).await
    }

    /// Path in the folder of the server.
    pub(super) fn there(&self, name: &str) -> PathBuf {
        self.server.folder.path().join(name)
    }
}

pub(super) async fn refusal(target: &Target) -> SshError {
    Session::connect(target).await.unwrap_err()
}

pub(super) fn target(port: u16, key: PathBuf, known_hosts: PathBuf) -> Target {
    Target {
        name: "edge-1".to_owned(),
        address: "127.0.0.1".to_owned(),
        port,
        user: "deployer".to_owned(),
        identity: Identity {
            key: Some(key),
            passphrase: None,
            agent: Agent::Off,
        },
        trust: Trust {
            fingerprint: None,
            known_hosts,
        },
        bastion: None,
        timeouts: Timeouts {
            connect: PLENTY,
            handshake: PLENTY,
            authentication: PLENTY,
            transfer: PLENTY,
            keepalive: PLENTY,
        },
    }
}

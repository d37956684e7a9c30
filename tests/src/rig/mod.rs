//! Hosts to install onto, on this machine: containers that look like fresh EC2 hosts, on a network of their own.
//!
//! Each has systemd as its first process, sshd, an account `ec2-user` with `sudo` and a key, an address that stays, and
//! Docker, PostgreSQL, a registry and Java installed, none of them running. `docker` on a host is an Engine of its own.
//! They see neither this machine's Engine nor its control groups; what they share with it is the kernel and its limits.

mod command;
mod container;
mod fresh;
mod image;
mod link;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::wait::until;
use command::{docker, text};
pub use fresh::looks_like_fresh_hosts;

/// On every container, volume and network of a rig, with the rig's name: nothing else is ever removed.
const LABEL: &str = "iot-rig";
/// How names of rigs begin.
const PREFIX: &str = "iot-rig";
/// More would not fit into the memory of a usual machine once something is installed.
const MOST: usize = 9;
/// How long a host may take to boot; it takes a second or two when the machine is idle.
const BOOT: Duration = Duration::from_secs(90);

/// Some hosts, their network and the key to them. Removed with [`Rig::remove`], or at the latest when dropped.
#[derive(Debug)]
pub struct Rig {
    name: String,
    hosts: Vec<RigHost>,
    folder: TempDir,
    key: PathBuf,
    known_hosts: PathBuf,
    removed: bool,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RigHost {
    /// Name of the host, and of its container.
    pub name: String,
    /// Address, the same after every start; reached from this machine and from the other hosts.
    pub address: Ipv4Addr,
}

impl Rig {
    /// Makes hosts and waits until they have booted and can be signed in to. What an interrupted run of the same name left is
    /// removed first. The first start on a machine makes the image from Debian packages.
    ///
    /// `name` begins with `iot-rig`; the hosts are `<name>-1`, `<name>-2` and so on.
    ///
    /// # Errors
    /// When Docker refuses, the image cannot be made, or a host does not boot without a failed unit.
    pub async fn start(name: &str, hosts: usize) -> Result<Self> {
        ensure!(name.starts_with(PREFIX), "a rig's name begins with {PREFIX}");
        ensure!((1..=MOST).contains(&hosts), "a rig has 1 to {MOST} hosts, not {hosts}");
        remove_all(name).await?;
        let image = image::ready().await?;
        let folder = tempfile::Builder::new().prefix(name).tempdir()?;
        // From here on the value removes what was made, whichever step fails.
        let mut rig = Self {
            name: name.to_owned(),
            hosts: Vec::new(),
            key: folder.path().join("ec2-user.pem"),
            known_hosts: folder.path().join("known_hosts"),
            folder,
            removed: false,
        };
        rig.make_key().await?;
        let subnet = container::make_network(name).await?;
        let resolver = container::resolver(rig.folder.path())?;
        for number in 1..=hosts {
            let host = RigHost {
                name: format!("{name}-{number}"),
                address: container::address(subnet, number)?,
            };
            container::make(name, &image, &host, resolver.as_deref()).await?;
            rig.hosts.push(host);
        }
        for host in &rig.hosts {
            booted(host).await?;
            container::allow(host, &rig.public_key()?).await?;
        }
        rig.write_known_hosts().await?;
        Ok(rig)
    }

    /// Returns the hosts, in the order of their numbers.
    #[must_use]
    pub fn hosts(&self) -> &[RigHost] {
        &self.hosts
    }

    /// Returns the private key (OpenSSH's format, readable by its owner alone) that lets `ec2-user` into every host.
    #[must_use]
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// Returns a file with the hosts' ed25519 keys, with which strict checking passes.
    #[must_use]
    pub fn known_hosts(&self) -> &Path {
        &self.known_hosts
    }

    /// Runs a shell command as root on a host, past its network and sshd, and returns what it writes. For looking.
    ///
    /// # Errors
    /// When the command fails; what it wrote is in the error.
    pub async fn run(&self, host: &RigHost, command: &str) -> Result<String> {
        inside(host, command).await
    }

    /// Runs a shell command as `ec2-user` over ssh, with strict checking of the host's key.
    ///
    /// # Errors
    /// When signing in or the command fails.
    pub async fn ssh(&self, host: &RigHost, command: &str) -> Result<String> {
        let known = format!("UserKnownHostsFile={}", self.known_hosts.display());
        let key = self.key.to_string_lossy();
        let mut arguments = vec!["-F", "/dev/null", "-i", &key, "-o", &known];
        for option in [
            "StrictHostKeyChecking=yes",
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "ConnectTimeout=10",
        ] {
            arguments.extend(["-o", option]);
        }
        let target = format!("ec2-user@{}", host.address);
        arguments.extend([target.as_str(), command]);
        text("ssh", arguments).await
    }

    /// Takes a host's power away: every process ends at once, disks stay.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&self, host: &RigHost) -> Result<()> {
        docker(["kill", &host.name]).await.map(drop)
    }

    /// Boots a host that was killed, and waits until it is up. It comes back connected, with its address and keys.
    ///
    /// # Errors
    /// When it does not boot without a failed unit.
    pub async fn start_again(&self, host: &RigHost) -> Result<()> {
        docker(["start", &host.name]).await?;
        booted(host).await
    }

    /// Loses every packet between a host and all others, this machine included, in both directions and without an answer, as
    /// a broken network does. The host keeps its address, still reaches itself, and [`Rig::run`] still works.
    ///
    /// # Errors
    /// When the host does not run.
    pub async fn disconnect(&self, host: &RigHost) -> Result<()> {
        link::cut(host).await
    }

    /// Ends what [`Rig::disconnect`] began.
    ///
    /// # Errors
    /// When the host does not run.
    pub async fn connect(&self, host: &RigHost) -> Result<()> {
        link::mend(host).await
    }

    /// Removes the hosts with their disks, and the network. The image stays for next time.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn remove(mut self) -> Result<()> {
        remove_all(&self.name).await?;
        self.removed = true;
        Ok(())
    }

    /// Removes it after a story, whose outcome it returns; with `KEEP_STACK` in the environment, what failed can be looked at.
    ///
    /// # Errors
    /// Those of the story; when Docker refuses.
    pub async fn after<T>(mut self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() && std::env::var_os("KEEP_STACK").is_some() {
            self.removed = true;
            return outcome;
        }
        self.remove().await?;
        outcome
    }

    async fn make_key(&self) -> Result<()> {
        if !Path::new("/usr/bin/ssh-keygen").exists() {
            crate::distribution::install("openssh-client")?;
        }
        let path = self.key.to_string_lossy();
        text(
            "ssh-keygen",
            ["-q", "-t", "ed25519", "-N", "", "-C", &self.name, "-f", &path],
        )
        .await
        .map(drop)
    }

    fn public_key(&self) -> Result<String> {
        // Where `ssh-keygen` puts it.
        let path = self.key.with_extension("pem.pub");
        let key = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        Ok(key.trim().to_owned())
    }

    /// The keys are read on the hosts themselves, so that nobody between can give another.
    async fn write_known_hosts(&self) -> Result<()> {
        let mut lines = String::new();
        for host in &self.hosts {
            let key = inside(host, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub").await?;
            lines.push_str(&format!("{} {key}\n", host.address));
        }
        std::fs::write(&self.known_hosts, lines).context("could not write known_hosts")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        if let Err(error) = container::remove(&self.name) {
            crate::complain(&format!("could not remove the hosts of {}: {error:#}", self.name));
        }
    }
}

/// Runs a shell command as root in a host's container.
async fn inside(host: &RigHost, command: &str) -> Result<String> {
    docker(["exec", &host.name, "bash", "-c", command]).await
}

/// Waits until systemd has started everything and sshd greets.
async fn booted(host: &RigHost) -> Result<()> {
    let what = format!("{} has booted", host.name);
    let state = until(&what, BOOT, || async {
        // The command fails in every state but `running`; what it wrote tells which.
        let state = inside(host, "systemctl is-system-running || true").await?;
        ensure!(
            ["running", "degraded"].contains(&state.as_str()),
            "systemd says {state}"
        );
        Ok(Some(state))
    })
    .await?;
    if state != "running" {
        let failed = inside(host, "systemctl list-units --failed --plain --no-legend").await?;
        bail!("{} is {state}: {failed}", host.name);
    }
    until(&format!("sshd of {} answers", host.name), BOOT, || async {
        let greeting = container::greeting(host.address).await?;
        Ok(greeting.starts_with("SSH-2.0").then_some(()))
    })
    .await
}

async fn remove_all(name: &str) -> Result<()> {
    let name = name.to_owned();
    tokio::task::spawn_blocking(move || container::remove(&name)).await?
}

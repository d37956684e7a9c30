//! What a fresh host is.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};

use super::{Rig, RigHost};

/// Units that are installed and must not run before somebody installs the platform.
const INSTALLED: [&str; 4] = [
    "docker.service",
    "docker.socket",
    "containerd.service",
    "postgresql.service",
];

/// Asserts that the hosts are what an installation starts from: systemd up, `ec2-user` signs in with the key under strict
/// checking and may do everything, Docker and the rest are there but do not run, and no two hosts are the same.
///
/// # Errors
/// Which host is not, and in what.
pub async fn looks_like_fresh_hosts(rig: &Rig) -> Result<()> {
    let mut identities = BTreeSet::new();
    for host in rig.hosts() {
        let identity = looks_like_fresh_host(rig, host)
            .await
            .with_context(|| format!("{} is not a fresh host", host.name))?;
        ensure!(identities.insert(identity), "{} has the id of another host", host.name);
    }
    Ok(())
}

/// Checks one host, all through ssh as an installation would, and returns its machine id.
async fn looks_like_fresh_host(rig: &Rig, host: &RigHost) -> Result<String> {
    let first = rig
        .ssh(host, "ps -o comm= -p 1 2>/dev/null || cat /proc/1/comm")
        .await?;
    ensure!(first == "systemd", "its first process is {first}");
    let state = rig.ssh(host, "systemctl is-system-running").await?;
    ensure!(state == "running", "systemd says {state}");
    let name = rig.ssh(host, "hostname").await?;
    ensure!(name == host.name, "it calls itself {name}");
    let who = rig.ssh(host, "sudo -n id -u").await?;
    ensure!(who == "0", "with sudo ec2-user is {who}, not root");
    let units = INSTALLED.join(" ");
    let states = rig
        .ssh(
            host,
            &format!("systemctl is-active {units}; systemctl is-enabled {units}; true"),
        )
        .await?;
    let wanted = INSTALLED
        .map(|_| "inactive")
        .into_iter()
        .chain(INSTALLED.map(|_| "disabled"));
    ensure!(states.lines().eq(wanted), "of {units}, some run or would: {states}");
    let engine = "sudo docker version >/dev/null 2>&1 && echo answers || echo silent";
    let engine = rig.ssh(host, engine).await?;
    ensure!(engine == "silent", "its Engine {engine}");
    rig.ssh(host, "command -v docker java psql iptables curl")
        .await
        .context("something is not installed")?;
    let clusters = rig.ssh(host, "ls /etc/postgresql").await?;
    ensure!(clusters.is_empty(), "it has a PostgreSQL cluster: {clusters}");
    rig.ssh(host, "cat /etc/machine-id").await
}

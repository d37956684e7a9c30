//! What can be wrong with hosts, and `up` that is killed on the way.

use std::hash::BuildHasher as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::hosts::{Command, built};
use crate::rig::Rig;

/// What can be wrong with hosts: each has its own words and exit code, and does the others no harm. Then `up` is ended with
/// SIGKILL at several moments, and goes on where it was.
pub(super) async fn all() -> Result<()> {
    let rig = Rig::start("iot-rig-adverse", 3).await?;
    let outcome = async {
        strangers(&rig).await?;
        faults(&rig).await?;
        interruptions(&rig, 3).await.map(drop)
    }
    .await;
    rig.after(outcome).await
}

/// Keys: wrong ones, unknown ones, changed ones. Nobody gets further than that.
async fn strangers(rig: &Rig) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [first, second, _] = rig.hosts() else {
        anyhow::bail!("three hosts")
    };
    let other = folder.path().join("other.pem");
    let path = other.to_string_lossy();
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f", &path])
        .status()?;
    ensure!(made.success(), "no key");
    let wrong = Command::new(folder.path(), rig, |config| config.ssh.key = Some(other.clone()))?;
    wrong.ends(
        &built(&["up"]),
        4,
        &[&first.name, "`ec2-user` was refused", "resume with:"],
    )?;

    let unknown = folder.path().join("known_hosts");
    std::fs::write(&unknown, "")?;
    let command = Command::new(folder.path(), rig, |config| {
        config.ssh.known_hosts = Some(unknown.clone())
    })?;
    command.ends(&built(&["up"]), 5, &["host key is not known", "SHA256:"])?;

    let known = std::fs::read_to_string(rig.known_hosts())?;
    let keys: Vec<&str> = known.lines().collect();
    let key = |host: std::net::Ipv4Addr| {
        keys.iter()
            .find_map(|line| line.strip_prefix(&format!("{host} ")))
            .context("a known key")
    };
    let swapped = format!(
        "{} {}\n{} {}\n",
        first.address,
        key(second.address)?,
        second.address,
        key(first.address)?
    );
    std::fs::write(&unknown, swapped)?;
    let said = command.ends(&built(&["up"]), 5, &["host key CHANGED", "nothing was sent"])?;
    ensure!(
        said.matches("SHA256:").count() >= 4,
        "both fingerprints of both hosts: {said}"
    );
    for host in rig.hosts().iter().take(2) {
        let left = rig.run(host, "ls -d /var/lib/iot 2>/dev/null || true").await?;
        ensure!(left.trim().is_empty(), "{} was changed", host.name);
    }
    Ok(())
}

/// One host is away, or full, or lets nobody become root: the two others come as far as they can.
async fn faults(rig: &Rig) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let command = Command::new(folder.path(), rig, |_| {})?;
    let [first, second, third] = rig.hosts() else {
        anyhow::bail!("three hosts")
    };

    rig.run(third, "mv /etc/sudoers.d /etc/sudoers.away").await?;
    command.ends(
        &built(&["up"]),
        4,
        &[&third.name, "may not use sudo without a password"],
    )?;
    rig.run(third, "mv /etc/sudoers.away /etc/sudoers.d").await?;
    unharmed(rig, &[first, second]).await?;

    let cache = "/home/ec2-user/.cache";
    rig.run(
        third,
        &format!("install -d -o ec2-user -g ec2-user {cache} && mount -t tmpfs -o size=1m,uid=$(id -u ec2-user) tmpfs {cache}"),
    )
    .await?;
    command.ends(&built(&["up"]), 1, &[&third.name, "the disk is full"])?;
    rig.run(third, &format!("umount {cache}")).await?;
    unharmed(rig, &[first, second]).await?;

    rig.kill(third).await?;
    command.ends(&built(&["up"]), 4, &[&third.name, "no answer within"])?;
    unharmed(rig, &[first, second]).await?;
    command.ends(&["status"], 4, &[&third.name, "application-manager"])?;
    rig.start_again(third).await?;

    rig.run(third, "kill -STOP $(systemctl show -p MainPID --value ssh)")
        .await?;
    command.ends(&built(&["up"]), 4, &[&third.name, "no answer within"])?;
    rig.run(third, "kill -CONT $(systemctl show -p MainPID --value ssh)")
        .await?;
    Ok(())
}

/// Their agents are ready.
async fn unharmed(rig: &Rig, hosts: &[&crate::rig::RigHost]) -> Result<()> {
    for host in hosts {
        let state = rig.run(host, "systemctl is-active iot-agent").await?;
        ensure!(state.trim() == "active", "the agent of {} is {state}", host.name);
    }
    Ok(())
}

/// Kills `up` at random moments of its run, on hosts that are emptied before; then it must finish and leave nothing to do.
/// Returns how long each whole `up` took.
pub(crate) async fn interruptions(rig: &Rig, count: u32) -> Result<Duration> {
    let folder = tempfile::tempdir()?;
    let command = Command::new(folder.path(), rig, |_| {})?;
    command.ends(&["down", "--delete-data", "--yes"], 0, &[])?;
    let whole = Instant::now();
    for number in 1..=count {
        // After so many lines of progress, wherever that is: each run begins where the last one was ended.
        let mut left = 1 + std::hash::RandomState::new().hash_one(number) % 24;
        let enough = |_: &str| {
            left -= 1;
            left == 0
        };
        let last = crate::admin::killed(&command.config, &built(&["up"]), enough).await?;
        crate::say(&format!("    `up` was killed after: {last}"));
    }
    command.ends(&built(&["up"]), 0, &["is up on 3 hosts"])?;
    command.ends(&built(&["plan", "--detailed-exitcode"]), 0, &["nothing to do"])?;
    Ok(whole.elapsed())
}

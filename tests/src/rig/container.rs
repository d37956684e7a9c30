//! Hosts as containers: how they are made so that systemd and an Engine of their own feel at home, and how they go.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::command::docker;
use super::{LABEL, RigHost, inside};
use crate::faults;

/// Capabilities by their numbers in the kernel. Later ones are unknown to Engines that still are in use.
const CAPABILITIES: [&str; 38] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
];

/// Always given; `--privileged` is not, as it asks for capabilities that this machine may not have itself.
const OPTIONS: [&str; 20] = [
    // The image mounts control groups there; those of this machine are neither seen nor changed.
    "--cgroupns=private",
    "--tmpfs",
    "/sys/fs/cgroup:mode=755",
    "--tmpfs",
    "/run:exec,mode=755",
    "--tmpfs",
    "/tmp:exec,mode=1777",
    "--shm-size",
    "512m",
    "--stop-signal",
    "SIGRTMIN+3",
    "--security-opt",
    "seccomp=unconfined",
    "--security-opt",
    "apparmor=unconfined",
    "--security-opt",
    "systempaths=unconfined",
    // An Engine may deny new privileges to all containers; `sudo` needs them.
    "--security-opt",
    "no-new-privileges=false",
    "--detach",
];

/// Makes the network on the first free range, and returns its address.
pub(super) async fn make_network(rig: &str) -> Result<Ipv4Addr> {
    let mut refused = String::new();
    for third in 0..16 {
        let network = Ipv4Addr::new(10, 78, third, 0);
        let (subnet, label) = (format!("{network}/24"), format!("{LABEL}={rig}"));
        match docker(["network", "create", "--subnet", &subnet, "--label", &label, rig]).await {
            Ok(_) => return Ok(network),
            Err(error) => refused = format!("{error:#}"),
        }
    }
    bail!("no range of 10.78.0.0/20 is free for a network: {refused}")
}

/// Address of a host by its number.
pub(super) fn address(network: Ipv4Addr, number: usize) -> Result<Ipv4Addr> {
    let last = u8::try_from(10 + number).context("too many hosts")?;
    let [first, second, third, _] = network.octets();
    Ok(Ipv4Addr::new(first, second, third, last))
}

/// Writes a `resolv.conf` with this machine's name servers. Docker's own server listens on loopback, where containers on the
/// host would not find it. None when this machine has servers on loopback only; then Docker's has to do.
pub(super) fn resolver(folder: &Path) -> Result<Option<PathBuf>> {
    for source in ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"] {
        let content = std::fs::read_to_string(source).unwrap_or_default();
        let mut servers = content.lines().filter_map(|line| line.strip_prefix("nameserver "));
        if servers.any(|server| !server.trim().starts_with("127.") && server.trim() != "::1") {
            let path = folder.join("resolv.conf");
            std::fs::write(&path, content).context("could not write resolv.conf")?;
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Makes and starts a host. Its Engine keeps its files in a volume: overlay file systems do not stack on the container's own.
pub(super) async fn make(rig: &str, image: &str, host: &RigHost, resolver: Option<&Path>) -> Result<()> {
    let mut arguments = vec!["run".to_owned()];
    arguments.extend(OPTIONS.map(str::to_owned));
    arguments.extend(capabilities()?.iter().map(|name| format!("--cap-add={name}")));
    arguments.push(format!("--label={LABEL}={rig}"));
    arguments.push(format!("--name={}", host.name));
    arguments.push(format!("--hostname={}", host.name));
    arguments.push(format!("--network={rig}"));
    arguments.push(format!("--ip={}", host.address));
    arguments.push(format!(
        "--mount=type=volume,source={}-docker,target=/var/lib/docker,volume-label={LABEL}={rig}",
        host.name
    ));
    if let Some(resolver) = resolver {
        arguments.push(format!("--volume={}:/etc/resolv.conf", resolver.display()));
    }
    arguments.push(image.to_owned());
    docker(&arguments)
        .await
        .map(drop)
        .with_context(|| format!("could not make {}", host.name))
}

/// Every capability that this machine can give.
fn capabilities() -> Result<Vec<&'static str>> {
    let status = std::fs::read_to_string("/proc/self/status").context("could not read /proc/self/status")?;
    let set = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .context("/proc/self/status tells no capabilities")?;
    let set = u64::from_str_radix(set.trim(), 16).context("capabilities are not a number")?;
    Ok(CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(number, _)| set >> number & 1 == 1)
        .map(|(_, name)| *name)
        .collect())
}

/// Lets the owner of a key in as `ec2-user`.
pub(super) async fn allow(host: &RigHost, key: &str) -> Result<()> {
    let command = format!(
        "install -d -m 700 -o ec2-user -g ec2-user /home/ec2-user/.ssh && cd /home/ec2-user/.ssh \
         && echo '{key}' > authorized_keys && chmod 600 authorized_keys && chown ec2-user:ec2-user authorized_keys"
    );
    inside(host, &command).await.map(drop)
}

/// What a host's sshd says first.
pub(super) async fn greeting(address: Ipv4Addr) -> Result<String> {
    let mut greeting = [0_u8; 64];
    let read = tokio::time::timeout(Duration::from_secs(5), async {
        TcpStream::connect((address, 22)).await?.read(&mut greeting).await
    })
    .await
    .context("no answer within 5 s")??;
    Ok(String::from_utf8_lossy(&greeting[..read]).into_owned())
}

/// Removes the containers, volumes and network that bear the rig's label.
pub(super) fn remove(rig: &str) -> Result<()> {
    let filter = format!("label={LABEL}={rig}");
    let kinds: [(&[&str], &[&str]); 3] = [
        (&["ps", "--all", "--quiet"], &["rm", "--force", "--volumes"]),
        (&["volume", "ls", "--quiet"], &["volume", "rm"]),
        (&["network", "ls", "--quiet"], &["network", "rm"]),
    ];
    for (list, remove) in kinds {
        let found = faults::docker(&[list, &["--filter", &filter]].concat())?;
        let found: Vec<&str> = found.split_whitespace().collect();
        if !found.is_empty() {
            faults::docker(&[remove, &found].concat())?;
        }
    }
    Ok(())
}

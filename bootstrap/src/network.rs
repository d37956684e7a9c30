//! The network of application containers: one bridge with a fixed name and its own subnet.
//!
//! A config-only network per host holds the bridge's options; a swarm-scoped network refers to it, so that every host has its own
//! bridge and no packet of an application crosses hosts.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::command::{command, succeeds, text, wait_until};
use crate::engine::{self, docker};
use crate::network_store;

/// Label on everything in the Engine that belongs to an installation.
pub(crate) const LABEL: &str = "platform.installation";

/// Names in the Engine and on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// The swarm-scoped network.
    pub(crate) network: String,
    /// The config-only network of this host.
    pub(crate) local: String,
    /// The bridge; the kernel allows 15 characters.
    pub(crate) bridge: String,
}

impl Names {
    pub(crate) fn new(name: &str) -> Self {
        let plain = format!("{name}-apps");
        let bridge = if plain.len() <= 15 {
            plain
        } else {
            let hash: String = hex::encode(Sha256::digest(name)).chars().take(6).collect();
            format!("{}-{hash}", name.chars().take(8).collect::<String>())
        };
        Self {
            network: format!("{name}-applications"),
            local: format!("{name}-applications-local"),
            bridge,
        }
    }
}

/// A /24 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Subnet([u8; 3]);

impl Subnet {
    pub(crate) fn gateway(self) -> Ipv4Addr {
        let [a, b, c] = self.0;
        Ipv4Addr::new(a, b, c, 1)
    }

    pub(crate) fn cidr(self) -> String {
        let [a, b, c] = self.0;
        format!("{a}.{b}.{c}.0/24")
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.cidr()
    }
}

impl TryFrom<String> for Subnet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match parse_range(&text) {
            Some(Range { first, bits: 24 }) => {
                let [a, b, c, _] = first.to_be_bytes();
                Ok(Self([a, b, c]))
            }
            _ => Err(format!("{text:?} is not a /24 network")),
        }
    }
}

/// An address range that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    first: u32,
    bits: u8,
}

impl Range {
    fn overlaps(self, other: Self) -> bool {
        let bits = self.bits.min(other.bits);
        bits == 0 || (self.first ^ other.first) >> (32 - u32::from(bits)) == 0
    }
}

/// Reads `10.0.0.0/24` or a single address.
fn parse_range(text: &str) -> Option<Range> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    let bits: u8 = bits.parse().ok().filter(|bits| *bits <= 32)?;
    let address: Ipv4Addr = address.parse().ok()?;
    Some(Range {
        first: address.to_bits(),
        bits,
    })
}

/// The ranges named in a text, for example the output of `ip route`. The default route is none.
pub(crate) fn ranges(text: &str) -> Vec<Range> {
    text.split_whitespace()
        .filter_map(parse_range)
        .filter(|range| range.bits > 0)
        .collect()
}

/// The subnet of an installation: derived from its name, the next free one if that is taken. Between 10.80.0 and 10.111.255,
/// away from what Engines and clouds hand out by themselves.
pub(crate) fn choose_subnet(name: &str, taken: &[Range]) -> Option<Subnet> {
    let digest = Sha256::digest(name);
    let start = digest
        .iter()
        .take(2)
        .fold(0_u16, |sum, byte| (sum << 8) | u16::from(*byte))
        % 8192;
    (0..8192_u16).map(|offset| (start + offset) % 8192).find_map(|index| {
        let [high, low] = index.to_be_bytes();
        let subnet = Subnet([10, 80 + high, low]);
        let range = Range {
            first: Ipv4Addr::new(10, 80 + high, low, 0).to_bits(),
            bits: 24,
        };
        (!taken.iter().any(|other| other.overlaps(range))).then_some(subnet)
    })
}

/// Every range that this host or its Engine uses.
pub(crate) async fn taken() -> Result<Vec<Range>> {
    let mut all = ranges(&text(command("ip", ["-4", "route", "show", "table", "all"])).await?);
    all.extend(ranges(&text(command("ip", ["-4", "-o", "addr", "show"])).await?));
    let ids = text(docker(["network", "ls", "-q"])).await?;
    let mut inspect = docker([
        "network",
        "inspect",
        "--format",
        "{{range .IPAM.Config}}{{.Subnet}} {{end}}",
    ]);
    inspect.args(ids.split_whitespace());
    all.extend(ranges(&text(inspect).await?));
    Ok(all)
}

/// Whether networks and bridge are there.
pub(crate) async fn present(names: &Names, subnet: Subnet) -> bool {
    let format = "{{range .IPAM.Config}}{{.Subnet}}{{end}}";
    let local = text(docker(["network", "inspect", "--format", format, &names.local])).await;
    local.is_ok_and(|found| found == subnet.cidr())
        && network_store::is_kept(names)
        && succeeds(docker(["network", "inspect", &names.network])).await
        && bridge_has(names, subnet).await
        && is_steady(&names.bridge)
}

async fn bridge_has(names: &Names, subnet: Subnet) -> bool {
    let shown = text(command("ip", ["-4", "-o", "addr", "show", "dev", &names.bridge])).await;
    shown.is_ok_and(|text| text.contains(&format!("inet {}/24", subnet.gateway())))
}

/// Whether the bridge keeps its hardware address. Else it has that of one of its containers, and another one when that ends: the other
/// containers then look for the node agent at an address that nobody has, for up to a minute.
fn is_steady(bridge: &str) -> bool {
    // 3 is `NET_ADDR_SET` of the kernel: somebody chose it.
    std::fs::read_to_string(format!("/sys/class/net/{bridge}/addr_assign_type")).is_ok_and(|kind| kind.trim() == "3")
}

/// Removes what the Engine has of an installation of this name that is no more: where that was removed while the Engine did not run, its
/// applications would begin again with the Engine, and its addresses would count as taken.
pub(crate) async fn forget(installation: &str, names: &Names) -> Result<()> {
    let ends = engine::remove_services(installation).await?;
    engine::clear_network(&names.network, ends).await;
    ensure!(remove(names).await, "{}", held(names));
    Ok(())
}

/// Creates what is missing.
pub(crate) async fn create(installation: &str, names: &Names, subnet: Subnet) -> Result<()> {
    let addresses = "{{range .IPAM.Config}}{{.Subnet}}{{end}}";
    let found = text(docker(["network", "inspect", "--format", addresses, &names.local])).await;
    if found.is_ok_and(|found| found != subnet.cidr()) {
        // Its containers would move the bridge away from the node agent.
        forget(installation, names).await?;
    }
    // Published ports of applications are for this host's proxy only.
    let make = config_only(installation, names, subnet, Ipv4Addr::LOCALHOST);
    network_store::keep(names, &make).await?;
    if !succeeds(docker(["network", "inspect", &names.local])).await {
        text(command("sh", ["-c", &make]))
            .await
            .context("could not create the host's part of the application network")?;
    }
    if !succeeds(docker(["network", "inspect", &names.network])).await {
        text(docker([
            // Takes no label: everything it is comes from the other network.
            "network",
            "create",
            "--driver",
            "bridge",
            "--scope",
            "swarm",
            "--config-from",
            &names.local,
            &names.network,
        ]))
        .await
        .context("could not create the application network")?;
    }
    create_bridge(names, subnet).await
}

/// The command that makes a host's part of the application network. Published ports are bound to `binding`.
pub(crate) fn config_only(installation: &str, names: &Names, subnet: Subnet, binding: Ipv4Addr) -> String {
    let option = |name: &str, value: &str| format!("-o com.docker.network.bridge.{name}={value}");
    let options = [
        option("name", &names.bridge),
        option("enable_icc", "false"),
        option("enable_ip_masquerade", "false"),
        option("host_binding_ipv4", &binding.to_string()),
    ];
    format!(
        "docker network create --config-only --subnet {} --gateway {} --label {LABEL}={installation} {} {}",
        subnet.cidr(),
        subnet.gateway(),
        options.join(" "),
        names.local
    )
}

/// The Engine would create the bridge with the first container and remove it with the last; the node agent needs its address
/// always.
async fn create_bridge(names: &Names, subnet: Subnet) -> Result<()> {
    let bridge = names.bridge.as_str();
    if !succeeds(command("ip", ["link", "show", "dev", bridge])).await {
        text(command("ip", ["link", "add", "name", bridge, "type", "bridge"])).await?;
    }
    if !bridge_has(names, subnet).await {
        let address = format!("{}/24", subnet.gateway());
        text(command("ip", ["addr", "add", &address, "dev", bridge])).await?;
    }
    if !is_steady(bridge) {
        let address = std::fs::read_to_string(format!("/sys/class/net/{bridge}/address"))?;
        let address = address.trim();
        text(command("ip", ["link", "set", "dev", bridge, "address", address])).await?;
    }
    // No way around the firewall rules over IPv6.
    let switch = format!("/proc/sys/net/ipv6/conf/{bridge}/disable_ipv6");
    if std::path::Path::new(&switch).exists() {
        std::fs::write(&switch, "1").with_context(|| format!("could not write {switch}"))?;
    }
    text(command("ip", ["link", "set", bridge, "up"])).await.map(drop)
}

/// Removes networks and bridge; tells whether all is gone. Tasks that are ending hold the networks for a moment longer than their containers.
pub(crate) async fn remove(names: &Names) -> bool {
    let gone = wait_until(Duration::from_secs(30), async || {
        for network in [&names.network, &names.local] {
            if exists(network).await {
                succeeds(docker(["network", "rm", network])).await;
            }
        }
        !exists(&names.network).await && !exists(&names.local).await
    })
    .await;
    succeeds(command("ip", ["link", "delete", &names.bridge])).await;
    if gone {
        network_store::drop_kept(names);
    }
    gone
}

/// What to do where the Engine keeps a network that nobody uses.
pub(crate) fn held(names: &Names) -> String {
    format!(
        "Docker holds the network `{}` of an earlier installation. When `docker network inspect {}` names nobody who uses it, Docker was ended together with its containers and has not noticed: restart Docker, it then forgets the network. Where it also has networks of others it does not: stop Docker, move /var/lib/docker/network/files/local-kv.db away, start Docker",
        names.local, names.network
    )
}

async fn exists(network: &str) -> bool {
    succeeds(docker(["network", "inspect", network])).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridge_names_fit_the_kernel() {
        assert_eq!(Names::new("iot").bridge, "iot-apps");
        let long = Names::new("a-name-of-16-let").bridge;
        assert!(long.len() <= 15, "{long}");
        assert_ne!(long, Names::new("a-name-of-16-lex").bridge);
    }

    #[test]
    fn a_taken_subnet_gives_the_next() {
        let first = choose_subnet("iot", &[]).unwrap();
        let second = choose_subnet("iot", &ranges(&first.cidr())).unwrap();
        assert_ne!(first, second);
        assert_eq!(
            choose_subnet("iot", &ranges("default via 192.0.2.1 dev eth0")),
            Some(first)
        );
        assert_eq!(choose_subnet("iot", &ranges("10.0.0.0/8")), None);
    }

    #[test]
    fn subnets_survive_a_file() {
        let subnet = choose_subnet("iot", &[]).unwrap();
        let text = serde_json::to_string(&subnet).unwrap();
        assert_eq!(serde_json::from_str::<Subnet>(&text).unwrap(), subnet);
        assert!(serde_json::from_str::<Subnet>("\"10.0.0.0/16\"").is_err());
    }
}

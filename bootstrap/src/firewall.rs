//! What application containers may reach: the node agent's two ports on their gateway. Who may reach them: this host.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};

use crate::command::{command, succeeds, text};
use crate::network::Subnet;

/// Words of the script for hosts.
const SCRIPT: &str = r#"
fail() { echo "$*" >&2; exit 1; }
steady() { [ "$(cat "/sys/class/net/$bridge/addr_assign_type")" = 3 ]; } # 3: set by somebody
if [ "$verb" = apply ]; then
  ip link show dev "$bridge" >/dev/null 2>&1 || ip link add name "$bridge" type bridge || fail no bridge
  ip -4 -o addr show dev "$bridge" | grep -q "inet $address" || ip addr add "$address" dev "$bridge" || fail no address
  # It would take the address of one of its containers, and change it when that one ends: the others then miss the agent for a minute.
  steady || ip link set dev "$bridge" address "$(cat "/sys/class/net/$bridge/address")" || fail no steady address
  # No way around the rules over IPv6.
  [ ! -e "/proc/sys/net/ipv6/conf/$bridge/disable_ipv6" ] || echo 1 > "/proc/sys/net/ipv6/conf/$bridge/disable_ipv6"
  ip link set "$bridge" up
  iptables -w -N DOCKER-USER 2>/dev/null
else
  ip -4 -o addr show dev "$bridge" | grep -q "inet $address" || fail no bridge
  steady || fail the hardware address of the bridge may change
fi
chain() {
  if [ "$verb" = apply ]; then
    iptables -w -N "$1" 2>/dev/null; iptables -w -F "$1" || fail "no chain $1"
  else
    [ "$(iptables -w -S "$1" | grep -c '^-A')" = "$2" ] || fail "chain $1 has other rules"
  fi
}
rule() {
  if [ "$verb" = apply ]; then iptables -w -A "$@" || fail "rule $*"; else iptables -w -C "$@" || fail "rule $*"; fi
}
only() { # no jumps to a chain but those that follow
  if [ "$verb" = apply ]; then
    iptables -w -S INPUT | grep -- "-j $1\$" | sed 's/^-A/-D/' | while read -r old; do iptables -w $old; done
  else
    [ "$(iptables -w -S INPUT | grep -c -- "-j $1\$")" = "$2" ] || fail "other jumps to $1"
  fi
}
jump() {
  iptables -w -C "$@" 2>/dev/null && return
  [ "$verb" = apply ] && iptables -w -I "$@" || fail "rule $*"
}
"#;

/// A rule: its chain and what follows.
type Rule = (String, Vec<String>);

/// The rules of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Firewall {
    bridge: String,
    gateway: Ipv4Addr,
    installation: String,
    input: String,
    forward: String,
    /// Chain of what is for the platform's hosts only, where there are several.
    hosts: Option<String>,
    rules: Vec<Rule>,
    jumps: Vec<Rule>,
}

impl Firewall {
    /// Decides the rules.
    pub(crate) fn new(installation: &str, bridge: &str, gateway: Ipv4Addr, agent_ports: [u16; 2]) -> Self {
        let (input, forward) = (format!("{installation}-in"), format!("{installation}-fwd"));
        let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let established = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
        let mut rules = vec![(input.clone(), words(established.to_owned()))];
        for port in agent_ports {
            rules.push((
                input.clone(),
                words(format!("-d {gateway}/32 -p tcp -m tcp --dport {port} -j ACCEPT")),
            ));
        }
        rules.push((input.clone(), words("-j REJECT".to_owned())));
        rules.push((forward.clone(), words(established.to_owned())));
        rules.push((forward.clone(), words("-j REJECT".to_owned())));
        let jumps = vec![
            ("INPUT".to_owned(), words(format!("-i {bridge} -j {input}"))),
            ("DOCKER-USER".to_owned(), words(format!("-i {bridge} -j {forward}"))),
            ("DOCKER-USER".to_owned(), words(format!("-o {bridge} -j {forward}"))),
        ];
        Self {
            bridge: bridge.to_owned(),
            gateway,
            installation: installation.to_owned(),
            input,
            forward,
            hosts: None,
            rules,
            jumps,
        }
    }

    /// Adds what only the platform's hosts may reach: ports of this host, and ports that applications publish on it.
    pub(crate) fn between_hosts(mut self, installation: &str, hosts: &[Ipv4Addr], ports: &[u16]) -> Self {
        let chain = format!("{installation}-hosts");
        let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        self.rules.push((chain.clone(), words("-i lo -j RETURN".to_owned())));
        for host in hosts {
            self.rules
                .push((chain.clone(), words(format!("-s {host}/32 -j RETURN"))));
        }
        self.rules.push((chain.clone(), words("-j REJECT".to_owned())));
        for port in ports {
            let jump = format!("-p tcp -m tcp --dport {port} -j {chain}");
            self.jumps.push(("INPUT".to_owned(), words(jump)));
        }
        // What the swarm's hosts say to each other, and the way into its overlay networks.
        for port in [7946, 4789] {
            let jump = format!("-p udp -m udp --dport {port} -j {chain}");
            self.jumps.push(("INPUT".to_owned(), words(jump)));
        }
        // The agents' ports are for applications, not for neighbours that know a way to the bridge.
        let jump = format!("-d {}/32 ! -i {} -j {chain}", self.gateway, self.bridge);
        self.jumps.push(("INPUT".to_owned(), words(jump)));
        let reject = self.rules.iter().rposition(|(chain, _)| *chain == self.forward);
        let accepts = hosts.iter().map(|host| {
            (
                self.forward.clone(),
                words(format!("-s {host}/32 ! -i {} -j ACCEPT", self.bridge)),
            )
        });
        let accepts: Vec<Rule> = accepts.collect();
        let at = reject.unwrap_or(self.rules.len());
        self.rules.splice(at..at, accepts);
        self.hosts = Some(chain);
        self
    }

    /// A script for a host: `apply` makes bridge and rules so, `check` ends with 0 when they are.
    pub(crate) fn script(&self, bridge: &str, subnet: Subnet) -> String {
        let mut lines = vec![
            "#!/bin/bash".to_owned(),
            "# Written by bootstrap; changes are lost at the next `up`.".to_owned(),
            "verb=\"$1\"; address=".to_owned() + &format!("{}/24", subnet.gateway()),
            format!("bridge={bridge}"),
            SCRIPT.to_owned(),
        ];
        for chain in [&self.input, &self.forward].into_iter().chain(&self.hosts) {
            let rules = self.rules.iter().filter(|(of, _)| of == chain);
            lines.push(format!("chain {chain} {}", rules.clone().count()));
            lines.extend(rules.map(|(chain, rest)| format!("rule {chain} {}", rest.join(" "))));
        }
        if let Some(chain) = &self.hosts {
            let jumps = self.jumps.iter().filter(|(_, rest)| rest.last() == Some(chain));
            lines.push(format!("only {chain} {}", jumps.count()));
        }
        lines.extend(
            self.jumps
                .iter()
                .map(|(chain, rest)| format!("jump {chain} {}", rest.join(" "))),
        );
        lines.push(format!(
            "[ \"$verb\" != apply ] || sha256sum < \"$0\" > /run/{}-network",
            self.installation
        ));
        lines.push("exit 0\n".to_owned());
        lines.join("\n")
    }

    /// Whether every rule is there.
    pub(crate) async fn present(&self) -> bool {
        for rule in self.rules.iter().chain(&self.jumps) {
            if !succeeds(iptables("-C", rule)).await {
                return false;
            }
        }
        true
    }

    /// Makes the rules so.
    pub(crate) async fn apply(&self) -> Result<()> {
        for chain in [&self.input, &self.forward] {
            succeeds(command("iptables", ["-w", "-N", chain])).await;
            text(command("iptables", ["-w", "-F", chain]))
                .await
                .context("could not empty a firewall chain")?;
        }
        for rule in &self.rules {
            text(iptables("-A", rule))
                .await
                .context("could not add a firewall rule")?;
        }
        for jump in &self.jumps {
            if !succeeds(iptables("-C", jump)).await {
                text(iptables("-I", jump))
                    .await
                    .context("could not add a firewall rule")?;
            }
        }
        Ok(())
    }

    /// Takes the rules away.
    pub(crate) async fn remove(&self) {
        for jump in &self.jumps {
            succeeds(iptables("-D", jump)).await;
        }
        for chain in [&self.input, &self.forward] {
            succeeds(command("iptables", ["-w", "-F", chain])).await;
            succeeds(command("iptables", ["-w", "-X", chain])).await;
        }
    }
}

fn iptables(verb: &str, (chain, rest): &Rule) -> tokio::process::Command {
    let mut command = command("iptables", ["-w", verb, chain]);
    command.args(rest);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_agents_ports_are_open() {
        let firewall = Firewall::new("iot", "iot-apps", Ipv4Addr::new(10, 90, 1, 1), [7611, 7612]);
        let lines: Vec<String> = firewall
            .rules
            .iter()
            .chain(&firewall.jumps)
            .map(|(chain, rest)| format!("{chain} {}", rest.join(" ")))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}

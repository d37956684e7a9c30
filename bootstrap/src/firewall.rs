//! What application containers may reach: the node agent's two ports on their gateway. Who may reach them: this host.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};

use crate::command::{command, succeeds, text};

/// A rule: its chain and what follows.
type Rule = (String, Vec<String>);

/// The rules of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Firewall {
    input: String,
    forward: String,
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
            input,
            forward,
            rules,
            jumps,
        }
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

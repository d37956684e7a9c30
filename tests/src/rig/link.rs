//! A host's connection to everything else, broken and mended.
//!
//! By rules of the host's own firewall in a table that installations have no reason to touch. Taking the container off its
//! Docker network would do something else: its address would go, too, so that its own services would fail on it.

use anyhow::Result;

use super::{RigHost, inside};

const RULES: [&str; 2] = ["PREROUTING -i eth0", "POSTROUTING -o eth0"];

/// Drops every packet that comes or goes, forwarded ones of containers as well.
pub(super) async fn cut(host: &RigHost) -> Result<()> {
    for rule in RULES {
        let same = format!("iptables -t mangle -C {rule} -j DROP 2>/dev/null || iptables -t mangle -A {rule} -j DROP");
        inside(host, &same).await?;
    }
    Ok(())
}

/// Takes the rules away; none there is fine.
pub(super) async fn mend(host: &RigHost) -> Result<()> {
    for rule in RULES {
        let gone =
            format!("! iptables -t mangle -C {rule} -j DROP 2>/dev/null || iptables -t mangle -D {rule} -j DROP");
        inside(host, &gone).await?;
    }
    Ok(())
}

//! Who listens on a TCP port, from `/proc`.

use std::collections::BTreeMap;
use std::fs;

use crate::processes;

/// A listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Port.
    pub(crate) port: u16,
    /// Bound to every address, or to loopback.
    pub(crate) local: bool,
    /// Socket's inode.
    inode: u64,
}

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Process id.
    pub(crate) pid: u32,
    /// Its program.
    pub(crate) program: String,
}

/// Reads `/proc/net/tcp` or `tcp6`.
pub(crate) fn parse(text: &str) -> Vec<Listener> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (address, port) = words.get(1)?.split_once(':')?;
            if *words.get(3)? != "0A" {
                return None;
            }
            let any = address.chars().all(|digit| digit == '0');
            let loopback = address == "0100007F" || address == "00000000000000000000000001000000";
            Some(Listener {
                port: u16::from_str_radix(port, 16).ok()?,
                local: any || loopback,
                inode: words.get(9)?.parse().ok()?,
            })
        })
        .collect()
}

/// Every listening socket of the machine.
pub(crate) fn listening() -> Vec<Listener> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .flat_map(|path| parse(&fs::read_to_string(path).unwrap_or_default()))
        .collect()
}

/// Holders of sockets by inode.
pub(crate) fn holders() -> BTreeMap<u64, Holder> {
    let mut holders = BTreeMap::new();
    for pid in processes::all() {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(entry.path()) else {
                continue;
            };
            let inode = target
                .to_str()
                .and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode {
                let program = fs::read_to_string(format!("/proc/{pid}/comm"))
                    .unwrap_or_default()
                    .trim()
                    .to_owned();
                holders.insert(inode, Holder { pid, program });
            }
        }
    }
    holders
}

impl Listener {
    /// Who holds it.
    pub(crate) fn holder<'a>(&self, holders: &'a BTreeMap<u64, Holder>) -> Option<&'a Holder> {
        holders.get(&self.inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_read() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100 0 0 10 0\n   1: 0100007F:2384 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 777 1 0 100 0 0 10 0\n";
        assert_eq!(
            parse(text),
            [Listener {
                port: 9092,
                local: true,
                inode: 12345
            }]
        );
    }
}

//! Looking at a host: one script for everything, and what it said.

use std::fmt::Write as _;
use std::time::Duration;

use crate::access::{Access, AccessError, failed};
use crate::item::{Item, Kind};
use crate::packages::PackageManager;
use crate::shell::{SEEN, quote};
use crate::unit::FINGERPRINT;

/// How long a look may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What a host is and how each item was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The machine.
    pub facts: Facts,
    /// One for each item, in order.
    pub found: Vec<Found>,
}

/// What a machine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its own name.
    pub host_name: String,
    /// The system, as it calls itself.
    pub system: String,
    /// Its package manager; none that is known.
    pub packages: Option<PackageManager>,
    /// `x86_64` or `aarch64`.
    pub architecture: String,
    /// Version of the C library, major and minor.
    pub glibc: (u32, u32),
    /// Whether systemd runs it.
    pub systemd: bool,
    /// Processors.
    pub processors: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Room for data, in MiB.
    pub free_mib: u64,
    /// Its clock, in seconds since 1970.
    pub clock: i64,
}

/// How an item was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// As it shall be.
    Right,
    /// Not there at all.
    Absent,
    /// There, but different: in what.
    Different(String),
}

/// The script that looks at a host and at every item.
#[must_use]
pub fn script(items: &[Item], data_dir: &str) -> String {
    let mut text = format!("{PREAMBLE}{SEEN}\nfree={}\n{FACTS}\n", quote(data_dir));
    for (index, item) in items.iter().enumerate() {
        let written = writeln!(
            text,
            "( {} ) 2>/dev/null | head -1 | sed 's/^/{index} /'",
            look(&item.kind)
        );
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
    text
}

const PREAMBLE: &str = r#"
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
file() { # path owner mode sha256
  [ -f "$1" ] || { echo absent; return; }
  [ "$(sha256sum < "$1" | cut -d' ' -f1)" = "$4" ] || { echo different content; return; }
  attributes "$1" "$2" "$3"
}
folder() { [ -d "$1" ] || { echo absent; return; }; attributes "$1" "$2" "$3"; }
attributes() {
  found="$(stat -c '%U %a' "$1")"
  [ "$found" = "$2 $3" ] && echo right || echo "different owner or mode ($found)"
}
unit() { # name sha256 fingerprint
  [ -f "/etc/systemd/system/$1.service" ] || { echo absent; return; }
  [ "$(sha256sum < "/etc/systemd/system/$1.service" | cut -d' ' -f1)" = "$2" ] || { echo different unit file or settings; return; }
  [ "$(systemctl is-enabled "$1")" = enabled ] || { echo different not enabled; return; }
  [ "$(systemctl is-active "$1")" = active ] || { echo different not running; return; }
  pid="$(systemctl show -p MainPID --value "$1")"
  tr '\0' '\n' < "/proc/$pid/environ" | grep -qx "VARIABLE=$3" && echo right || echo different runs with what was before
}
"#;

const FACTS: &str = r#"
while [ ! -d "$free" ]; do free="$(dirname "$free")"; done
echo "fact host_name $(uname -n)"
echo "fact architecture $(uname -m)"
echo "fact glibc $(getconf GNU_LIBC_VERSION 2>/dev/null)"
echo "fact systemd $([ -d /run/systemd/system ] && echo yes || echo no)"
echo "fact processors $(nproc)"
echo "fact memory_kib $(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)"
echo "fact free_kib $(df -Pk "$free" | awk 'NR == 2 {print $4}')"
echo "fact clock $(date +%s)"
sed 's/^/os /' /etc/os-release 2>/dev/null
"#;

fn look(kind: &Kind) -> String {
    match kind {
        Kind::Packages(needs) => {
            let tests: Vec<String> = needs
                .iter()
                .map(|need| {
                    let seen: Vec<String> = need.seen.iter().map(|thing| format!("'{thing}'")).collect();
                    format!("seen {} || missing=\"$missing {}\"", seen.join(" "), need.apt)
                })
                .collect();
            format!(
                "missing=; {}; [ -z \"$missing\" ] && echo right || echo \"different missing:$missing\"",
                tests.join("; ")
            )
        }
        Kind::Account { name } => format!("id -u {} >/dev/null && echo right || echo absent", quote(name)),
        Kind::Folder { path, owner, mode } => format!("folder {} {} {mode:o}", quote(path), quote(owner)),
        Kind::File {
            path,
            owner,
            mode,
            content,
        } => format!("file {} {} {mode:o} {}", quote(path), quote(owner), content.sha256()),
        Kind::Link { path, target } => {
            let (path, target) = (quote(path), quote(target));
            format!(
                "[ -L {path} ] || {{ echo absent; exit; }}; [ \"$(readlink {path})\" = {target} ] && echo right || echo \"different leads to $(readlink {path})\""
            )
        }
        Kind::Unit(unit) => format!(
            "unit {} {} {}",
            quote(&unit.name),
            crate::item::sha256(unit.render().as_bytes()),
            quote(&unit.fingerprint)
        ),
        Kind::State { check, .. } => format!("if ( {check}\n) >/dev/null 2>&1; then echo right; else echo absent; fi"),
    }
}

/// Looks.
///
/// # Errors
/// When the host cannot be asked, or says something else than an answer.
pub async fn observe(host: &dyn Access, items: &[Item], data_dir: &str) -> Result<Observed, AccessError> {
    let script = script(items, data_dir).replace("VARIABLE", FINGERPRINT);
    let answer = host.root(&script, LIMIT).await?;
    read(&answer.stdout, items.len()).ok_or_else(|| failed(host.host(), "looking at the host", &answer))
}

/// Reads what the script said; none when an item is missing in it.
fn read(said: &str, items: usize) -> Option<Observed> {
    let mut found = vec![None; items];
    let (mut facts, mut os_release) = (Facts::default(), String::new());
    for line in said.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "fact" => read_fact(&mut facts, rest),
            "os" => {
                os_release.push_str(rest);
                os_release.push('\n');
            }
            index => {
                if let Some(place) = index.parse().ok().and_then(|index: usize| found.get_mut(index)) {
                    *place = read_found(rest);
                }
            }
        }
    }
    facts.packages = PackageManager::of(&os_release);
    facts.system = os_release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("an unknown system")
        .trim_matches('"')
        .to_owned();
    Some(Observed {
        facts,
        found: found.into_iter().collect::<Option<Vec<Found>>>()?,
    })
}

fn read_found(text: &str) -> Option<Found> {
    match text.split_once(' ').unwrap_or((text, "")) {
        ("right", _) => Some(Found::Right),
        ("absent", _) => Some(Found::Absent),
        ("different", why) => Some(Found::Different(why.to_owned())),
        _ => None,
    }
}

fn read_fact(facts: &mut Facts, text: &str) {
    let (name, value) = text.split_once(' ').unwrap_or((text, ""));
    match name {
        "host_name" => value.clone_into(&mut facts.host_name),
        "architecture" => value.clone_into(&mut facts.architecture),
        "glibc" => {
            let version = value.split_whitespace().last().unwrap_or_default();
            let mut parts = version.split('.').map(|part| part.parse().unwrap_or_default());
            facts.glibc = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        }
        "systemd" => facts.systemd = value == "yes",
        "processors" => facts.processors = value.parse().unwrap_or_default(),
        "memory_kib" => facts.memory_mib = value.parse().unwrap_or(0) / 1024,
        "free_kib" => facts.free_mib = value.parse().unwrap_or(0) / 1024,
        "clock" => facts.clock = value.parse().unwrap_or_default(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let said = "fact host_name one\nfact glibc glibc 2.36\nfact systemd yes\nfact memory_kib 2097152\nos PRETTY_NAME=\"Debian 12\"\nos ID=debian\n0 right\n2 different not running\n1 absent\n";
        let observed = read(said, 3).unwrap();
        assert_eq!(
            observed.found,
            [Found::Right, Found::Absent, Found::Different("not running".to_owned())]
        );
        assert_eq!(observed.facts.glibc, (2, 36));
        assert_eq!(observed.facts.memory_mib, 2048);
        assert_eq!(observed.facts.packages, Some(PackageManager::Apt));
        assert_eq!(observed.facts.system, "Debian 12");
        assert_eq!(read("0 right\n", 2), None, "a script that broke off is no answer");
        assert_eq!(read("0 what\n", 1), None);
    }
}

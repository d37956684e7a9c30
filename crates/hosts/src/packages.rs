//! Packages by what they bring, in the words of each distribution.

use crate::shell::{SEEN, quote};

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageManager {
    /// Debian and Ubuntu.
    Apt,
    /// `dnf` of Amazon Linux 2023.
    Amazon,
    /// `dnf` of Red Hat, Fedora and their relatives.
    RedHat,
}

/// Where the Docker Engine comes from on systems that have none of their own.
const DOCKER: &str = "https://download.docker.com/linux";

impl PackageManager {
    /// Reads which one a system has from its `/etc/os-release`.
    #[must_use]
    pub fn of(os_release: &str) -> Option<Self> {
        let field = |name: &str| {
            os_release
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_default()
                .trim_matches('"')
                .to_owned()
        };
        let family = format!("{} {}", field("ID"), field("ID_LIKE"));
        family.split_whitespace().find_map(|id| match id {
            "debian" | "ubuntu" => Some(Self::Apt),
            "amzn" => Some(Self::Amazon),
            "fedora" | "rhel" | "centos" | "rocky" | "almalinux" => Some(Self::RedHat),
            _ => None,
        })
    }

    /// The script that installs what brings the needs. What no package of the system brings must be there already.
    #[must_use]
    pub fn install(self, needs: &[Need]) -> String {
        let mut script = String::new();
        let mut packages = Vec::new();
        for need in needs {
            match need.package(self) {
                Some(package) => packages.push(package),
                None => script.push_str(&self.demand(need)),
            }
        }
        let makers = needs.iter().filter_map(|need| Some((need.package(self)?, need.maker?)));
        let missing: String = makers
            .map(|(package, maker)| format!("{package} comes from {maker}: add its repository to this host. "))
            .collect();
        let or_why = if missing.is_empty() {
            String::new()
        } else {
            format!(" || {{ echo {} >&2; exit 1; }}", quote(missing.trim_end()))
        };
        script + &self.fetch(&packages.join(" "), &or_why)
    }

    fn demand(self, need: &Need) -> String {
        let what = need.seen.first().copied().unwrap_or(need.apt);
        let seen: Vec<String> = need.seen.iter().map(|thing| quote(thing)).collect();
        format!(
            "{SEEN}seen {} || {{ echo {} >&2; exit 1; }}\n",
            seen.join(" "),
            quote(&format!(
                "no package of this system brings {what}: install it by hand, or let another host run what needs it (`services` in config.json)"
            ))
        )
    }

    fn fetch(self, list: &str, or_why: &str) -> String {
        match self {
            // A package that starts its service would take a port or a data folder that is wanted otherwise.
            Self::Apt => format!(
                "\
export DEBIAN_FRONTEND=noninteractive
set -e
policy=/usr/sbin/policy-rc.d; mark='# of the installation of a platform'
if [ ! -e $policy ] || grep -qx \"$mark\" $policy; then printf '#!/bin/sh\\n%s\\nexit 101\\n' \"$mark\" > $policy; chmod 755 $policy; trap \"rm -f $policy\" EXIT; fi
mkdir -p /etc/postgresql-common
grep -qs '^create_main_cluster = false' /etc/postgresql-common/createcluster.conf || echo 'create_main_cluster = false' >> /etc/postgresql-common/createcluster.conf
# An installation that was interrupted is finished first.
dpkg --configure -a
apt-get -q -o DPkg::Lock::Timeout=300 update
apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends {list}{or_why}
"
            ),
            Self::Amazon => format!("set -e\ndnf -q -y install {list}{or_why}\n"),
            Self::RedHat => format!(
                "\
set -e
. /etc/os-release
case \"$ID\" in fedora) system=fedora ;; *) system=centos ;; esac
command -v dockerd >/dev/null || [ -e /etc/yum.repos.d/docker-ce.repo ] || curl -fsSL -o /etc/yum.repos.d/docker-ce.repo {DOCKER}/$system/docker-ce.repo
dnf -q -y install {list}{or_why}
"
            ),
        }
    }
}

/// Something that a package brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// What is there once it is installed: a program by its name, or anything else by its path. Several: any of them.
    pub seen: &'static [&'static str],
    /// Debian's name of the package.
    pub apt: &'static str,
    /// Amazon Linux's, where it has one.
    pub amazon: Option<&'static str>,
    /// Red Hat's and its relatives', where they have one.
    pub red_hat: Option<&'static str>,
    /// Whose repository has it, where the distributions' own have not: an admin adds that to the host.
    pub maker: Option<&'static str>,
}

impl Need {
    /// Name of the package; none where the system has none.
    #[must_use]
    pub fn package(&self, manager: PackageManager) -> Option<&'static str> {
        match manager {
            PackageManager::Apt => Some(self.apt),
            PackageManager::Amazon => self.amazon,
            PackageManager::RedHat => self.red_hat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_told_apart() {
        let apt = Some(PackageManager::Apt);
        let (amazon, red_hat) = (Some(PackageManager::Amazon), Some(PackageManager::RedHat));
        for (text, wanted) in [
            ("NAME=\"Debian GNU/Linux\"\nID=debian\n", apt),
            ("ID=ubuntu\nID_LIKE=debian\n", apt),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", apt),
            ("ID=\"amzn\"\nID_LIKE=\"fedora\"\n", amazon),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", red_hat),
            ("ID=alpine\n", None),
            ("", None),
        ] {
            assert_eq!(PackageManager::of(text), wanted, "{text}");
        }
    }
}

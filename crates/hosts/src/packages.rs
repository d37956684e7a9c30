//! Packages by what they bring, in the words of each distribution.

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageManager {
    /// Debian and Ubuntu.
    Apt,
    /// Amazon Linux 2023, Fedora and what is like Red Hat's.
    Dnf,
}

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
            "amzn" | "fedora" | "rhel" | "centos" | "rocky" | "almalinux" => Some(Self::Dnf),
            _ => None,
        })
    }

    /// The script that installs packages.
    #[must_use]
    pub fn install(self, packages: &[&str]) -> String {
        let list = packages.join(" ");
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
apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends {list}
"
            ),
            Self::Dnf => format!("set -e\ndnf -q -y install {list}\n"),
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
    /// Amazon Linux's and Red Hat's.
    pub dnf: &'static str,
}

impl Need {
    /// Name of the package.
    #[must_use]
    pub fn package(&self, manager: PackageManager) -> &'static str {
        match manager {
            PackageManager::Apt => self.apt,
            PackageManager::Dnf => self.dnf,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_told_apart() {
        let apt = Some(PackageManager::Apt);
        let dnf = Some(PackageManager::Dnf);
        for (text, wanted) in [
            ("NAME=\"Debian GNU/Linux\"\nID=debian\n", apt),
            ("ID=ubuntu\nID_LIKE=debian\n", apt),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", apt),
            ("ID=\"amzn\"\nID_LIKE=\"fedora\"\n", dnf),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", dnf),
            ("ID=alpine\n", None),
            ("", None),
        ] {
            assert_eq!(PackageManager::of(text), wanted, "{text}");
        }
    }
}

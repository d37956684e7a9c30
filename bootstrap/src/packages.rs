//! What a machine needs installed, and installing it with its package manager.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use common::config::{Config, Mode};

use crate::command::{command, find, logged};
use crate::go_program::REGISTRY;
use crate::layout::Layout;
use crate::mongodb::{self, Server};
use crate::{ferretdb, files, postgresql, tools};

/// How to see that a package is not needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Program(&'static str),
    File(&'static str),
}

/// Packages by what they bring; another source of the same is as good.
const PACKAGES: [(&str, Seen); 17] = [
    ("ca-certificates", Seen::File("/etc/ssl/certs/ca-certificates.crt")),
    ("docker.io", Seen::Program("dockerd")),
    ("iptables", Seen::Program("iptables")),
    ("iproute2", Seen::Program("ip")),
    ("supervisor", Seen::Program("supervisord")),
    ("docker-registry", Seen::Program("docker-registry")),
    ("debootstrap", Seen::Program("debootstrap")),
    ("default-jre-headless", Seen::Program("java")),
    ("maven", Seen::Program("mvn")),
    ("gcc", Seen::Program("gcc")),
    ("g++", Seen::Program("g++")),
    ("make", Seen::Program("make")),
    ("cmake", Seen::Program("cmake")),
    ("pkg-config", Seen::Program("pkg-config")),
    ("libssl-dev", Seen::File("/usr/include/openssl/ssl.h")),
    ("zlib1g-dev", Seen::File("/usr/include/zlib.h")),
    ("python3", Seen::Program("python3")),
];

/// What this machine needs only where it runs the platform, not to build it for others.
const TO_RUN: [&str; 6] = [
    "docker.io",
    "iptables",
    "iproute2",
    "supervisor",
    "docker-registry",
    "debootstrap",
];

impl Seen {
    fn here(self) -> bool {
        match self {
            Self::Program(name) => find(name).is_some(),
            Self::File(path) => Path::new(path).exists(),
        }
    }
}

/// What is missing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    packages: Vec<&'static str>,
    node: bool,
    go: bool,
}

impl Missing {
    /// Nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut all = self.packages.clone();
        all.extend(self.node.then_some("Node 20.19 or newer"));
        all.extend(self.go.then_some("Go 1.21 or newer"));
        f.write_str(&all.join(", "))
    }
}

/// Looks what is missing.
pub(crate) async fn missing(config: &Config, layout: &Layout, server: Server) -> Missing {
    let mut packages: Vec<&'static str> = PACKAGES
        .iter()
        .filter(|(_, seen)| !seen.here())
        .map(|(package, _)| *package)
        .collect();
    let mut go = false;
    if config.mongodb.mode == Mode::Managed {
        match server {
            Server::Mongod if find("mongod").is_none() => packages.extend(mongodb::package().await),
            Server::Mongod => {}
            Server::Ferretdb => {
                if postgresql::programs().is_none() {
                    packages.push("postgresql");
                }
                go = !ferretdb::is_cached(layout) && !tools::go_present().await;
            }
        }
    }
    let node = layout.console().join("package.json").exists() && !tools::node_present().await;
    if node && !has_venv() {
        packages.push("python3-venv");
    }
    Missing { packages, node, go }
}

/// Looks what is missing to build the platform for other machines.
pub(crate) async fn missing_to_build(config: &Config, layout: &Layout) -> Missing {
    let mut missing = missing(config, layout, Server::Ferretdb).await;
    missing
        .packages
        .retain(|package| !TO_RUN.contains(package) && *package != "postgresql");
    missing.go |= !REGISTRY.is_cached(layout) && !tools::go_present().await;
    missing
}

/// Whether the system's Python can make virtual environments.
fn has_venv() -> bool {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders.map(|folder| folder.path()).any(|folder| {
        folder
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("python3."))
            && folder.join("ensurepip/_bundled").exists()
    })
}

/// Installs what is missing.
pub(crate) async fn install(missing: &Missing, log: &Path) -> Result<()> {
    let mut packages = missing.packages.clone();
    let needs_apt = !packages.is_empty() || missing.go;
    if needs_apt {
        if find("apt-get").is_none() {
            let go = if missing.go { " and Go 1.21 or newer" } else { "" };
            bail!(
                "this system has no apt-get; install what these Debian packages bring, then run again: {}{go}",
                packages.join(" ")
            );
        }
        logged(apt(&["update"]), log)
            .await
            .context("could not read the package lists")?;
    }
    let release = if missing.go { go_release(log).await? } else { None };
    if missing.go {
        packages.push("golang-go");
    }
    if !packages.is_empty() {
        install_packages(&packages, release.as_deref(), log).await?;
    }
    if missing.node {
        tools::install_node(log).await?;
    }
    Ok(())
}

/// Where a new enough Go comes from: the distribution (none), or Debian's own backports, which are added for it.
async fn go_release(log: &Path) -> Result<Option<String>> {
    if tools::go_installable(false).await {
        return Ok(None);
    }
    if let Some(codename) = debian_codename(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()) {
        let release = format!("{codename}-backports");
        if !tools::go_installable(true).await {
            let source = format!("deb http://deb.debian.org/debian {release} main\n");
            files::write(
                Path::new("/etc/apt/sources.list.d/iot-platform-backports.list"),
                &source,
                0o644,
            )?;
            logged(apt(&["update"]), log)
                .await
                .context("could not read Debian's backports")?;
        }
        if tools::go_installable(true).await {
            return Ok(Some(release));
        }
    }
    bail!(
        "FerretDB, and the registry for many hosts, are built with Go 1.21 or newer, which this system does not have; \
         install a newer Go and put it on the path"
    )
}

/// Debian's name of its release; none on other systems.
fn debian_codename(os_release: &str) -> Option<&str> {
    let field = |name: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
    };
    field("ID").filter(|id| *id == "debian")?;
    field("VERSION_CODENAME")
}

async fn install_packages(packages: &[&str], release: Option<&str>, log: &Path) -> Result<()> {
    if packages.contains(&"postgresql") {
        keep_from_making_a_cluster()?;
    }
    let policy = Path::new("/usr/sbin/policy-rc.d");
    // Otherwise packages start a registry, a supervisor, a database on ports that are wanted here.
    let own_policy = !policy.exists();
    if own_policy {
        files::write(policy, "#!/bin/sh\nexit 101\n", 0o755)?;
    }
    let mut install = apt(&["install", "-y", "--no-install-recommends"]);
    for package in packages {
        match release {
            // Only Go; everything else stays with the distribution's own version.
            Some(release) if *package == "golang-go" => {
                install.args(["golang-go", "golang-src"].map(|name| format!("{name}/{release}")))
            }
            _ => install.arg(package),
        };
    }
    let result = logged(install, log).await.context("could not install packages");
    if own_policy {
        std::fs::remove_file(policy).context("could not remove /usr/sbin/policy-rc.d")?;
    }
    result
}

fn apt(args: &[&str]) -> tokio::process::Command {
    let mut apt = command("apt-get", ["-q", "-o", "DPkg::Lock::Timeout=300"]);
    apt.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

fn keep_from_making_a_cluster() -> Result<()> {
    let path = Path::new("/etc/postgresql-common/createcluster.conf");
    let old = std::fs::read_to_string(path).unwrap_or_default();
    let set = "create_main_cluster = false";
    if !old.lines().any(|line| line.trim() == set) {
        files::write(path, &format!("{old}{set}\n"), 0o644)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_debian_has_debians_backports() {
        assert_eq!(
            debian_codename("NAME=x\nID=debian\nVERSION_CODENAME=bookworm\n"),
            Some("bookworm")
        );
        assert_eq!(
            debian_codename("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n"),
            None
        );
    }
}

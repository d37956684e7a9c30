//! What a machine needs installed, and installing it with its package manager.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use common::config::{Config, Mode};

use crate::command::{command, find, logged};
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
    if node && !Path::new("/usr/share/doc/python3-venv").exists() {
        packages.push("python3-venv");
    }
    Missing { packages, node, go }
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
    if missing.go {
        if !tools::go_installable().await {
            bail!(
                "FerretDB is built with Go 1.21 or newer; this system has an older one. Install a newer Go and put it on the path, or use `mongodb.mode` `external`"
            );
        }
        packages.push("golang-go");
    }
    if !packages.is_empty() {
        install_packages(&packages, log).await?;
    }
    if missing.node {
        tools::install_node(log).await?;
    }
    Ok(())
}

async fn install_packages(packages: &[&str], log: &Path) -> Result<()> {
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
    install.args(packages);
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

//! The image that Python applications start from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::command::{command, logged, succeeds, text};
use crate::engine::{self, docker};
use crate::files;
use crate::layout::Layout;
use crate::progress::Reporter;

/// Base of every Python image of the machine, whichever way it was made.
pub(crate) const BASE: &str = "iot-platform/python-base:3";
/// The same from the public registry.
pub(crate) const OFFICIAL: &str = "python:3.11-slim";
/// The public registry.
const REGISTRY: (&str, u16) = ("registry-1.docker.io", 443);
/// How long a base for hosts may take to be made; a firewall that says nothing would let it wait for hours.
const MADE: Duration = Duration::from_secs(600);
/// What an imported base lacks.
pub(crate) const PATH: &str = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const ARCHIVE: &str = "python-base.tar";
const FINGERPRINT: &str = "platform.fingerprint";

/// Tag of an installation's Python image.
pub(crate) fn python_tag(installation: &str) -> String {
    format!("{installation}/python:3")
}

/// Whether the base is in the Engine.
pub(crate) async fn base_present() -> bool {
    engine::image_id(BASE).await.is_some()
}

/// The base as a file, for hosts that do not reach the public registry: the one that was needed here once, or, where this machine does not reach
/// it either, a new one of Debian packages. `None` lets the hosts fetch it themselves.
pub(crate) async fn for_hosts(log: &Path, reporter: &dyn Reporter) -> Result<Option<PathBuf>> {
    let archive = engine::cache()?.join(ARCHIVE);
    if archive.exists() {
        return Ok(Some(archive));
    }
    let connect = tokio::net::TcpStream::connect(REGISTRY);
    if matches!(tokio::time::timeout(Duration::from_secs(5), connect).await, Ok(Ok(_))) {
        return Ok(None);
    }
    reporter.says("base of Python images: is made from Debian packages, as the public registry does not answer");
    let made = tokio::time::timeout(MADE, debootstrap(&archive, log)).await;
    let why = match made {
        Ok(Ok(())) => return Ok(Some(archive)),
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => format!("Debian's packages did not come within {} min", MADE.as_secs() / 60),
    };
    reporter.says(&format!(
        "base of Python images: {why}; hosts that reach no registry cannot get it"
    ));
    Ok(None)
}

/// Gets the base: from the cache, from the public registry when that answers quickly, or built from Debian packages.
pub(crate) async fn make_base(log: &Path) -> Result<()> {
    let archive = engine::cache()?.join(ARCHIVE);
    if archive.exists() && import(&archive).await.is_ok() {
        return Ok(());
    }
    let pull = tokio::time::timeout(Duration::from_secs(60), pull(log)).await;
    if pull.is_ok_and(|pulled| pulled) {
        return Ok(());
    }
    debootstrap(&archive, log).await?;
    import(&archive).await
}

async fn pull(log: &Path) -> bool {
    // An unreachable registry is found out in seconds, a slow one is given the minute that debootstrap would take.
    let reachable = tokio::time::timeout(
        Duration::from_secs(10),
        succeeds(docker(["manifest", "inspect", OFFICIAL])),
    )
    .await;
    if !reachable.is_ok_and(|answered| answered) {
        return false;
    }
    logged(docker(["pull", OFFICIAL]), log).await.is_ok() && succeeds(docker(["tag", OFFICIAL, BASE])).await
}

async fn import(archive: &Path) -> Result<()> {
    let archive = archive.to_string_lossy();
    text(docker(["import", "--change", PATH, &archive, BASE]))
        .await
        .map(drop)
}

async fn debootstrap(archive: &Path, log: &Path) -> Result<()> {
    let root = archive.with_extension("building");
    remove(&root)?;
    let target = root.to_string_lossy().into_owned();
    let packages = "--include=python3-minimal,python3-pip,python3-venv,ca-certificates";
    logged(
        command("debootstrap", ["--variant=minbase", packages, "bookworm", &target]),
        log,
    )
    .await
    .context("could not make a base image from Debian packages")?;
    for leftover in [
        "var/cache/apt/archives",
        "var/lib/apt/lists",
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
    ] {
        remove(&root.join(leftover))?;
    }
    let temporary = archive.with_extension("tar.new");
    let file = temporary.to_string_lossy().into_owned();
    logged(
        command("tar", ["-C", &target, "--exclude=./dev/*", "-cf", &file, "."]),
        log,
    )
    .await?;
    std::fs::rename(&temporary, archive).with_context(|| format!("could not write {}", archive.display()))?;
    remove(&root)
}

fn remove(path: &Path) -> Result<()> {
    if path.exists() {
        std::fs::remove_dir_all(path).with_context(|| format!("could not remove {}", path.display()))?;
    }
    Ok(())
}

/// Whether the installation's image is made of the present Dockerfile and base.
pub(crate) async fn python_present(installation: &str, layout: &Layout) -> bool {
    let found = engine::image_label(&python_tag(installation), FINGERPRINT).await;
    found.is_some() && found == wanted(layout).await
}

async fn wanted(layout: &Layout) -> Option<String> {
    let base = engine::image_id(BASE).await?;
    Some(files::fingerprint(&[
        base.as_bytes(),
        files::tree_fingerprint(&folder(layout)).as_bytes(),
    ]))
}

fn folder(layout: &Layout) -> PathBuf {
    layout.workspace().join("docker/python")
}

/// Builds the installation's image.
pub(crate) async fn make_python(installation: &str, layout: &Layout, log: &Path) -> Result<()> {
    let fingerprint = wanted(layout).await.context("the base image is missing")?;
    let folder = folder(layout);
    let mut build = docker(["build", "--build-arg", &format!("BASE={BASE}")]);
    build
        .args(["--label", &format!("{FINGERPRINT}={fingerprint}")])
        .args(["--label", &format!("{}={installation}", crate::network::LABEL)])
        .args(["--tag", &python_tag(installation)])
        .arg(&folder);
    logged(build, log).await.context("could not build the Python image")
}

//! Docker Engine: running, and a swarm of one node. Shared by every installation of the machine.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::command::{command, find, succeeds, text, wait_until};
use crate::files;
use crate::layout::Layout;
use crate::network_store;
use crate::supervisor::{Program, Supervisor};

/// Where the Engine listens.
pub(crate) const SOCKET: &str = "/var/run/docker.sock";

/// A `docker` command for the local Engine.
pub(crate) fn docker<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = command("docker", ["-H", "unix:///var/run/docker.sock"]);
    command
        .args(args)
        .env_remove("DOCKER_CONTEXT")
        .env("DOCKER_BUILDKIT", "0");
    command
}

/// Whether the Engine answers.
pub(crate) async fn answers() -> bool {
    Path::new(SOCKET).exists() && succeeds(docker(["version", "--format", "{{.Server.Version}}"])).await
}

/// Its version, when it answers.
pub(crate) async fn version() -> Option<String> {
    text(docker(["version", "--format", "{{.Server.Version}}"])).await.ok()
}

/// Starts this machine's Engine unless it answers.
///
/// # Errors
/// When it does not come up.
pub async fn ensure() -> Result<()> {
    if answers().await { Ok(()) } else { start().await }
}

/// Starts it: by systemd where that runs the machine, else under a supervisor of its own that outlives every installation.
pub(crate) async fn start() -> Result<()> {
    if Path::new("/run/systemd/system").exists() {
        text(command("systemctl", ["enable", "--now", "docker"])).await?;
    } else {
        let supervisor = engine_supervisor();
        supervisor.start().await?;
        supervisor.apply("engine", &[program()?]).await?;
    }
    if wait_until(Duration::from_secs(60), async || answers().await).await {
        return Ok(());
    }
    bail!("Docker Engine did not answer on {SOCKET} within 60 s")
}

/// The supervisor that runs the Engine.
fn engine_supervisor() -> Supervisor {
    Supervisor::new(&Layout::machine().join("engine"), &Layout::machine().join("engine"))
}

/// Log of the Engine.
pub(crate) fn log() -> std::path::PathBuf {
    Layout::machine().join("engine/engine.log")
}

fn program() -> Result<Program> {
    let Some(dockerd) = find("dockerd") else {
        bail!("dockerd is not installed")
    };
    let options = "--no-new-privileges --log-opt max-size=10m --log-opt max-file=3";
    let runner = network_store::runner(&format!("{} {options}", dockerd.display()))?;
    let mut program = Program::new("engine", &runner.display().to_string());
    program.stop_wait_seconds = 60;
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
        if let Ok(value) = std::env::var(name).or_else(|_| std::env::var(name.to_lowercase())) {
            program.environment.insert(name.to_owned(), value);
        }
    }
    Ok(program)
}

/// Whether this Engine manages a swarm.
pub(crate) async fn swarm_active() -> bool {
    let state = text(docker([
        "info",
        "--format",
        "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}",
    ]))
    .await;
    state.is_ok_and(|state| state == "active true")
}

/// Makes it a swarm of one node that listens on loopback only.
pub(crate) async fn init_swarm() -> Result<()> {
    let state = text(docker(["info", "--format", "{{.Swarm.LocalNodeState}}"])).await?;
    if state != "inactive" {
        bail!("this Engine's swarm state is {state}; leave that swarm first: docker swarm leave --force");
    }
    text(docker([
        "swarm",
        "init",
        "--advertise-addr",
        "127.0.0.1",
        "--listen-addr",
        "127.0.0.1:2377",
    ]))
    .await?;
    Ok(())
}

/// Builds an image from a folder if its content or base changed; tells whether it did.
pub(crate) async fn image_label(tag: &str, label: &str) -> Option<String> {
    let format = format!("{{{{index .Config.Labels \"{label}\"}}}}");
    text(docker(["image", "inspect", "--format", &format, tag])).await.ok()
}

/// Id of an image, if it is here.
pub(crate) async fn image_id(tag: &str) -> Option<String> {
    text(docker(["image", "inspect", "--format", "{{.Id}}", tag]))
        .await
        .ok()
}

/// Removes Swarm services and secrets of an installation; returns how long their containers may take to end.
pub(crate) async fn remove_services(installation: &str) -> Result<Duration> {
    let label = format!("label={}={installation}", crate::network::LABEL);
    let mut longest = Duration::ZERO;
    for kind in ["service", "secret"] {
        let ids = text(docker([kind, "ls", "-q", "--filter", &label])).await?;
        if ids.is_empty() {
            continue;
        }
        if kind == "service" {
            longest = longest_end(&ids).await;
        }
        let mut remove = docker([kind, "rm"]);
        remove.args(ids.split_whitespace());
        text(remove).await?;
    }
    Ok(longest)
}

async fn longest_end(services: &str) -> Duration {
    let format = "{{json .Spec.TaskTemplate.ContainerSpec.StopGracePeriod}}";
    let mut inspect = docker(["service", "inspect", "--format", format]);
    inspect.args(services.split_whitespace());
    // One that is gone meanwhile has ended.
    let nanoseconds = text(inspect).await.unwrap_or_default();
    let longest = nanoseconds.lines().filter_map(|line| line.parse().ok()).max();
    Duration::from_nanos(longest.unwrap_or_default())
}

/// Waits until no container is on a network. The Swarm has `ends` to end its own: with the last one it takes the network from this
/// host, and does not where that container was taken from it. What is left then belongs to nobody, and is removed.
pub(crate) async fn clear_network(network: &str, ends: Duration) -> bool {
    const SWARM_REMOVES: Duration = Duration::from_secs(15);
    if wait_until(ends + SWARM_REMOVES, async || containers(network).await.is_empty()).await {
        return true;
    }
    wait_until(Duration::from_secs(30), async || {
        let ids = containers(network).await;
        if ids.is_empty() {
            return true;
        }
        let mut remove = docker(["rm", "-f"]);
        remove.args(ids.split_whitespace());
        succeeds(remove).await;
        false
    })
    .await
}

/// Ids of the containers on a network, also of those that have ended.
async fn containers(network: &str) -> String {
    let filter = format!("network={network}");
    text(docker(["ps", "-aq", "--filter", &filter]))
        .await
        .unwrap_or_default()
}

/// Removes images whose name matches.
pub(crate) async fn remove_images(reference: &str) {
    let filter = format!("reference={reference}");
    let found = text(docker(["images", "--format", "{{.ID}}", "--filter", &filter]))
        .await
        .unwrap_or_default();
    let ids: std::collections::BTreeSet<&str> = found.split_whitespace().collect();
    if !ids.is_empty() {
        let mut remove = docker(["rmi", "-f"]);
        remove.args(ids);
        succeeds(remove).await;
    }
}

/// Folder of the machine-wide cache, created.
pub(crate) fn cache() -> Result<std::path::PathBuf> {
    let cache = Layout::cache();
    files::create_dir(&cache)?;
    Ok(cache)
}

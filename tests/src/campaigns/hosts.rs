//! Three hosts: from nothing, again with nothing to do beside `ansible-core` doing the same copies and unit states, and `up` ended
//! at many moments.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::quantile;
use crate::admin;
use crate::rig::{Rig, RigHost};
use crate::scenarios::{hosts_config, interruptions};

/// How often a command with nothing to do is timed in each round.
const AGAIN: u32 = 3;
/// How often `up` is ended in each round.
const INTERRUPTIONS: u32 = 10;
/// What is copied: everything that is a file and the same on a host that was left alone.
const FILES: &str = "ls /var/lib/iot/releases/current/* /var/lib/iot/etc/* /var/lib/iot/secrets/* /var/lib/iot/network.sh /etc/docker/daemon.json /etc/systemd/system/iot-*.service";

/// Runs the rounds and returns the figures.
pub(super) async fn run(rounds: u32) -> Result<String> {
    prepare().await?;
    let folder = tempfile::tempdir()?;
    let ansible = install_ansible(folder.path())?;
    let (mut nothing, mut again, mut peer, mut broken) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        let rig = Rig::start("iot-rig-campaign", 3).await?;
        let config = folder.path().join("config.json");
        std::fs::write(&config, serde_json::to_string_pretty(&hosts_config(&rig)?)?)?;
        // What is built is built before anything is timed.
        expect(&config, &["plan"], 0)?;
        nothing.push(timed(|| expect(&config, &["up"], 0))?);
        let playbook = Playbook::write(&rig, &folder.path().join(format!("ansible-{round}"))).await?;
        playbook.run(&ansible)?;
        for _ in 0..AGAIN {
            again.push(timed(|| expect(&config, &["up"], 0))?);
            peer.push(timed(|| playbook.run(&ansible))?);
        }
        broken.push(interruptions(&rig, INTERRUPTIONS).await?.as_secs_f64());
        rig.remove().await?;
    }
    Ok(report(nothing, again, peer, broken))
}

/// The command as it is now, and an Engine for the hosts.
pub(super) async fn prepare() -> Result<()> {
    let mut build = bootstrap::cargo();
    build.args(["build", "--quiet", "-p", "bootstrap"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build.status().await?;
    ensure!(status.success(), "building bootstrap ended with {status}");
    bootstrap::ensure_engine().await
}

fn report(nothing: Vec<f64>, again: Vec<f64>, peer: Vec<f64>, broken: Vec<f64>) -> String {
    let mut text = "Three hosts with systemd and SSH, nothing of the platform on them; programs were built before.\n\n| what | median s | most s |\n|---|---|---|\n".to_owned();
    let mut medians = Vec::new();
    let rows = [
        ("`up` from nothing to ready", nothing),
        ("`up` with nothing to do", again),
        (
            "`ansible-playbook`, the same copies and unit states, nothing to do",
            peer,
        ),
        ("`up` killed 10 times and then finished, with `down` before it", broken),
    ];
    for (what, mut times) in rows {
        times.sort_by(f64::total_cmp);
        let most = times.last().copied().unwrap_or(f64::NAN);
        medians.push(quantile(&times, 0.5));
        let line = writeln!(text, "| {what} | {:.1} | {most:.1} |", quantile(&times, 0.5));
        debug_assert!(line.is_ok(), "writing to a string cannot fail");
    }
    if let [_, own, other, _] = medians.as_slice() {
        let line = writeln!(
            text,
            "\nNothing to do: {:.2} of the time of ansible-core, for 3 hosts at once.",
            own / other
        );
        debug_assert!(line.is_ok(), "writing to a string cannot fail");
    }
    text
}

fn timed(mut what: impl FnMut() -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    what()?;
    Ok(began.elapsed().as_secs_f64())
}

fn expect(config: &Path, arguments: &[&str], code: i32) -> Result<()> {
    let (found, said) = admin::run(config, arguments)?;
    ensure!(found == Some(code), "{arguments:?} ended with {found:?}:\n{said}");
    Ok(())
}

/// The peer, in a virtual environment of its own.
fn install_ansible(folder: &Path) -> Result<PathBuf> {
    let venv = folder.join("venv");
    for (program, arguments) in [
        (
            PathBuf::from("python3"),
            vec!["-m".to_owned(), "venv".to_owned(), venv.display().to_string()],
        ),
        (
            venv.join("bin/pip"),
            vec!["install".to_owned(), "-q".to_owned(), "ansible-core".to_owned()],
        ),
    ] {
        let status = Command::new(&program).args(&arguments).status()?;
        ensure!(status.success(), "{} ended with {status}", program.display());
    }
    Ok(venv.join("bin/ansible-playbook"))
}

/// The same as an experienced admin would write it.
struct Playbook {
    folder: PathBuf,
}

impl Playbook {
    /// Takes the files from the hosts as they are, so that there is nothing to do.
    async fn write(rig: &Rig, folder: &Path) -> Result<Self> {
        let mut hosts = serde_json::Map::new();
        for host in rig.hosts() {
            // Its modules are programs in Python.
            rig.run(
                host,
                "command -v python3 || (apt-get -q update && apt-get -q install -y --no-install-recommends python3)",
            )
            .await?;
            let own = folder.join(&host.name);
            std::fs::create_dir_all(&own)?;
            let mut files = Vec::new();
            for path in rig.run(host, FILES).await?.lines() {
                files.push(copy(rig, host, path, &own).await?);
            }
            let units = rig.run(host, "cd /etc/systemd/system && ls iot-*.service").await?;
            let units: Vec<&str> = units.lines().collect();
            let facts = json!({"ansible_host": host.address, "files": files, "units": units});
            hosts.insert(host.name.clone(), facts);
        }
        let copies = json!({"src": "{{ item.src }}", "dest": "{{ item.dest }}", "owner": "{{ item.owner }}",
                            "group": "{{ item.group }}", "mode": "{{ item.mode }}"});
        let states = json!({"name": "{{ item }}", "enabled": true, "state": "started"});
        let play = json!([{"hosts": "all", "gather_facts": false, "become": true, "tasks": [
            {"name": "files", "ansible.builtin.copy": copies, "loop": "{{ files }}"},
            {"name": "units", "ansible.builtin.systemd": states, "loop": "{{ units }}"},
        ]}]);
        // JSON is YAML.
        std::fs::write(
            folder.join("inventory.yml"),
            json!({"all": {"hosts": hosts}}).to_string(),
        )?;
        std::fs::write(folder.join("playbook.yml"), play.to_string())?;
        let known = rig.known_hosts().display();
        let settings = format!(
            "[defaults]\nremote_user = ec2-user\nprivate_key_file = {}\nforks = 10\nretry_files_enabled = false\n[ssh_connection]\npipelining = true\nssh_args = -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={known}\n",
            rig.key().display()
        );
        std::fs::write(folder.join("ansible.cfg"), settings)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Runs it; nothing may change.
    fn run(&self, program: &Path) -> Result<()> {
        let output = Command::new(program)
            .args(["-i", "inventory.yml", "playbook.yml"])
            .current_dir(&self.folder)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        ensure!(!said.contains("changed=1"), "it changed something: {said}");
        Ok(())
    }
}

async fn copy(rig: &Rig, host: &RigHost, path: &str, own: &Path) -> Result<Value> {
    let local = own.join(path.trim_start_matches('/').replace('/', "_"));
    let status = Command::new("docker")
        .args(["cp", "-L", &format!("{}:{path}", host.name)])
        .arg(&local)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()?;
    ensure!(status.success(), "{path} of {} could not be read", host.name);
    let found = rig.run(host, &format!("stat -c '%U %G 0%a' {path}")).await?;
    let [owner, group, mode] = found.split_whitespace().collect::<Vec<_>>()[..] else {
        anyhow::bail!("{found}")
    };
    Ok(json!({"src": local, "dest": path, "owner": owner, "group": group, "mode": mode}))
}

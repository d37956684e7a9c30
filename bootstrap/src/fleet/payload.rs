//! What is built here and lands on hosts.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use common::config::{Mode, SERVICES};
use hosts::Upload;
use sha2::{Digest as _, Sha256};

use crate::command::{command, logged, text};
use crate::go_program::{FERRETDB, REGISTRY};
use crate::installation::Installation;
use crate::options::{Profile, Programs};
use crate::progress::Reporter;
use crate::{console, engine, files, image, kafka, release};

/// The names that a program asks of libraries stand at its beginning, before its code.
const DYNAMIC_NAMES: u64 = 4 << 20;

/// Files by what they are, each with the SHA-256 of its content.
#[derive(Debug, Clone, Default)]
pub(super) struct Payload {
    /// Programs of the services by name.
    pub(super) programs: BTreeMap<String, Upload>,
    /// Kafka's jars in a tar file, where Kafka is managed.
    pub(super) kafka: Option<Upload>,
    /// FerretDB, where MongoDB is managed and no replica set.
    pub(super) ferretdb: Option<Upload>,
    /// The registry of application images.
    pub(super) registry: Option<Upload>,
    /// The SDK in a tar file.
    pub(super) sdk: Option<Upload>,
    /// Base image; absent: the public registry's.
    pub(super) base: Option<Upload>,
    /// Dockerfile of Python images.
    pub(super) dockerfile: String,
    /// Whether the programs were in use before.
    pub(super) returns: bool,
    /// What hosts are made from.
    pub(super) backup: Option<Backup>,
}

/// A backup that hosts are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backup {
    /// SHA-256 of the archive, in hex.
    pub(super) id: String,
    /// The database, unless somebody else runs it.
    pub(super) dump: Option<Upload>,
}

impl Payload {
    /// Name of the set of programs.
    pub(super) fn version(&self) -> String {
        let hashes: Vec<&[u8]> = self.programs.values().map(|upload| upload.sha256.as_bytes()).collect();
        files::fingerprint(&hashes)
    }

    /// Newest version of the C library that a program was built against.
    pub(super) fn glibc(&self) -> Result<(u32, u32)> {
        let mut newest = (0, 0);
        for upload in self.programs.values() {
            let mut head = Vec::new();
            std::fs::File::open(&upload.path)
                .and_then(|file| file.take(DYNAMIC_NAMES).read_to_end(&mut head))
                .with_context(|| format!("could not read {}", upload.path.display()))?;
            newest = newest.max(needs_glibc(&head));
        }
        Ok(newest)
    }
}

/// Newest `GLIBC_2.n` that a program names.
fn needs_glibc(program: &[u8]) -> (u32, u32) {
    const MARK: &[u8] = b"GLIBC_2.";
    let minor = |rest: &[u8]| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0_u32, |number, digit| {
            number.saturating_mul(10) + u32::from(digit - b'0')
        })
    };
    let minors = program
        .windows(MARK.len())
        .enumerate()
        .filter(|(_, window)| *window == MARK)
        .map(|(at, _)| minor(program.get(at + MARK.len()..).unwrap_or_default()));
    (2, minors.filter(|minor| *minor < 1000).max().unwrap_or_default())
}

/// Builds or fetches everything. What `kept` holds is on the hosts already.
pub(super) async fn prepare(
    on: &Installation,
    kept: &BTreeMap<String, Upload>,
    reporter: &dyn Reporter,
) -> Result<Payload> {
    let (config, layout) = (&on.config, &on.layout);
    let log = engine::cache()?.join("build.log");
    let mut payload = Payload {
        programs: programs(on, kept, &log, reporter).await?,
        returns: !kept.is_empty(),
        dockerfile: std::fs::read_to_string(layout.workspace().join("docker/python/Dockerfile"))
            .context("could not read the Dockerfile of Python images")?,
        sdk: Some(tar(&layout.workspace().join("sdk/python"), "sdk", &log).await?),
        ..Payload::default()
    };
    if config.kafka.mode == Mode::Managed {
        reporter.says("kafka: is fetched");
        payload.kafka = Some(tar(&kafka::fetch(layout, &log).await?, "kafka", &log).await?);
    }
    if config.mongodb.mode == Mode::Managed && !config.has_replica_set() {
        reporter.says("ferretdb: is built");
        payload.ferretdb = Some(upload(&FERRETDB.build(layout, &log).await?)?);
    }
    reporter.says("registry: is built");
    payload.registry = Some(upload(&REGISTRY.build(layout, &log).await?)?);
    let base = image::for_hosts(&log, reporter).await?;
    payload.base = base.map(|path| upload(&path)).transpose()?;
    Ok(payload)
}

/// Programs of the services by name, from wherever they come.
async fn programs(
    on: &Installation,
    kept: &BTreeMap<String, Upload>,
    log: &Path,
    reporter: &dyn Reporter,
) -> Result<BTreeMap<String, Upload>> {
    let (layout, profile) = (&on.layout, on.options.profile);
    let mut programs = BTreeMap::new();
    match &on.options.programs {
        Programs::Kept(_) => return Ok(kept.clone()),
        Programs::Folder(folder) => {
            for name in SERVICES {
                programs.insert(name.to_owned(), upload(&folder.join(name))?);
            }
        }
        Programs::Compiled => {
            if on.options.console && !console::present(layout) {
                reporter.says("console: is built");
                console::make(layout, log).await?;
            }
            reporter.says("programs of the services: are built");
            release::build(layout, profile, log).await?;
            for name in SERVICES {
                let program = program(&release::target(layout, profile), profile, name).await?;
                programs.insert(name.to_owned(), upload(&program)?);
            }
        }
    }
    Ok(programs)
}

/// The program as it is sent: a debug build without what only a debugger reads.
async fn program(target: &Path, profile: Profile, name: &str) -> Result<PathBuf> {
    let built = target.join(name);
    if profile == Profile::Release {
        return Ok(built);
    }
    let folder = target.join("sent");
    files::create_dir(&folder)?;
    let (sent, moment) = (folder.join(name), |path: &Path| {
        std::fs::metadata(path).and_then(|file| file.modified()).ok()
    });
    if moment(&sent) < moment(&built) {
        let new = folder.join(format!("{name}.new"));
        text(command("strip", ["-o".as_ref(), new.as_os_str(), built.as_os_str()])).await?;
        std::fs::rename(&new, &sent).with_context(|| format!("could not keep {}", sent.display()))?;
    }
    Ok(sent)
}

/// A folder as one file with the same bytes whenever the content is the same.
async fn tar(folder: &Path, name: &str, log: &Path) -> Result<Upload> {
    let path = engine::cache()?.join(format!("{name}-{}.tar", files::tree_fingerprint(folder)));
    if !path.exists() {
        let new = path.with_extension("new");
        let mut tar = command(
            "tar",
            ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"],
        );
        tar.args(["--exclude=__pycache__", "--exclude=tests", "-cf"])
            .arg(&new)
            .arg("-C")
            .arg(folder)
            .arg(".");
        logged(tar, log)
            .await
            .with_context(|| format!("could not pack {name}"))?;
        std::fs::rename(&new, &path).with_context(|| format!("could not keep {}", path.display()))?;
    }
    upload(&path)
}

/// A file of this machine with its fingerprint.
pub(super) fn upload(path: &Path) -> Result<Upload> {
    let mut file = std::fs::File::open(path).with_context(|| format!("could not read {}", path.display()))?;
    let (mut hash, mut part) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file
            .read(&mut part)
            .with_context(|| format!("could not read {}", path.display()))?
        {
            0 => break,
            length => hash.update(part.get(..length).unwrap_or_default()),
        }
    }
    Ok(Upload {
        path: path.to_owned(),
        sha256: hex::encode(hash.finalize()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_c_library_is_found() {
        assert_eq!(needs_glibc(b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0"), (2, 34));
        assert_eq!(needs_glibc(b"static"), (2, 0));
    }
}

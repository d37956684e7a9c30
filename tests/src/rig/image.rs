//! The image that hosts are made of: Debian with systemd and what a platform's host has installed, nothing of it started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::command::{docker, text};

/// Where the root file system is kept for the next time; making it takes a minute or two.
const CACHE: &str = "/var/cache/iot-platform";
const REPOSITORY: &str = "iot-rig-host";
/// Certificates of authorities that an administrator added to this machine.
const CERTIFICATES: &str = "/usr/local/share/ca-certificates";
/// Mounts the control groups and becomes systemd.
const INIT: &str = "/usr/local/sbin/host-init";

/// Everything the image depends on, by its path in the folder given to `make.sh`.
struct Material {
    files: Vec<(String, Vec<u8>)>,
}

/// Makes sure that the Engine has the image, and returns its tag.
pub(super) async fn ready() -> Result<String> {
    let material = Material::gather()?;
    let hash = material.hash();
    let tag = format!("{REPOSITORY}:{hash}");
    if docker(["image", "inspect", "--format", "{{.Id}}", &tag]).await.is_ok() {
        return Ok(tag);
    }
    let archive = PathBuf::from(format!("{CACHE}/{REPOSITORY}-{hash}.tar"));
    if !archive.exists() {
        remove_older().await;
        make(&material, &archive)
            .await
            .context("could not make the image of the hosts")?;
    }
    let command = format!("CMD [\"{INIT}\"]");
    // Without this variable systemd takes the container for a virtual machine and every host gets the machine's own id.
    let variable = "ENV container=docker";
    let archive = archive.to_string_lossy();
    docker(["import", "--change", &command, "--change", variable, &archive, &tag]).await?;
    Ok(tag)
}

impl Material {
    fn gather() -> Result<Self> {
        let text = |name: &str, content: &str| (name.to_owned(), content.as_bytes().to_vec());
        let mut files = vec![
            text("make.sh", include_str!("image/make.sh")),
            text("host-init", include_str!("image/host-init")),
            text("ssh-host-keys.service", include_str!("image/ssh-host-keys.service")),
        ];
        for entry in std::fs::read_dir(CERTIFICATES).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "crt") {
                let content = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
                files.push((format!("certificates/{}", entry.file_name().to_string_lossy()), content));
            }
        }
        files.sort();
        Ok(Self { files })
    }

    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for (name, content) in &self.files {
            hash.update(format!("{name}\n{}\n", content.len()));
            hash.update(content);
        }
        hex::encode(hash.finalize()).chars().take(12).collect()
    }

    fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder.join("certificates")).context("could not create a folder")?;
        for (name, content) in &self.files {
            std::fs::write(folder.join(name), content).with_context(|| format!("could not write {name}"))?;
        }
        Ok(())
    }
}

async fn make(material: &Material, archive: &Path) -> Result<()> {
    crate::say("making the image of the hosts from Debian packages; this takes a minute or two, once");
    std::fs::create_dir_all(CACHE).with_context(|| format!("could not create {CACHE}"))?;
    let folder = tempfile::tempdir().context("could not create a temporary folder")?;
    material.write(folder.path())?;
    let script = folder.path().join("make.sh");
    let building = archive.with_extension("building");
    let arguments: [&OsStr; 6] = [
        "--mount".as_ref(),
        "sh".as_ref(),
        script.as_ref(),
        folder.path().as_ref(),
        building.as_ref(),
        archive.as_ref(),
    ];
    text("unshare", arguments).await.map(drop)
}

/// Removes what an earlier recipe made, a gigabyte each; what a running host still uses stays.
async fn remove_older() {
    for entry in std::fs::read_dir(CACHE).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("{REPOSITORY}-"))
            && name.ends_with(".tar")
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            crate::complain(&format!("could not remove {name}: {error}"));
        }
    }
    let found = docker(["images", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY]).await;
    for tag in found.unwrap_or_default().split_whitespace() {
        if let Err(error) = docker(["rmi", tag]).await {
            crate::complain(&format!("an older image stays: {error:#}"));
        }
    }
}

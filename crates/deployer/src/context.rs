//! What the Engine builds from: a tar of Dockerfile, bundle, SDK and, where pip needs it, a CA bundle.
//!
//! The bundle was checked at its upload; here everything that could matter is still made safe: names stay inside, links and
//! special files are left out, modes are 0644 or 0755, and no more is unpacked than is allowed.

use std::io::{Cursor, Read, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use common::settings::Limits;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;
use zip::ZipArchive;

/// Longest `requirements.txt` that is looked at.
const REQUIREMENTS_BYTES: u64 = 256 * 1024;
/// Bytes handed over at once.
const CHUNK: usize = 64 * 1024;

/// An opened bundle.
pub(crate) type Archive = ZipArchive<Cursor<Vec<u8>>>;

/// Opens a bundle.
pub(crate) fn open(bundle: Vec<u8>) -> anyhow::Result<Archive> {
    ZipArchive::new(Cursor::new(bundle)).context("the bundle is not a zip")
}

/// Returns the text of `requirements.txt`.
pub(crate) fn requirements(archive: &mut Archive) -> anyhow::Result<Option<String>> {
    let Ok(file) = archive.by_name("requirements.txt") else {
        return Ok(None);
    };
    let mut text = String::new();
    file.take(REQUIREMENTS_BYTES)
        .read_to_string(&mut text)
        .context("requirements.txt is not text in UTF-8")?;
    Ok(Some(text))
}

/// A file of the SDK.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SdkFile {
    name: String,
    bytes: Vec<u8>,
}

/// Reads the SDK: the package `iot_sdk` in the folder, in order of name.
pub(crate) fn read_sdk(folder: &Path) -> anyhow::Result<Vec<SdkFile>> {
    let mut files = Vec::new();
    collect(folder, Path::new("iot_sdk"), &mut files).with_context(|| {
        format!(
            "could not read the Python SDK in {}; `bootstrap up` puts it there",
            folder.display()
        )
    })?;
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn collect(root: &Path, below: &Path, files: &mut Vec<SdkFile>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "__pycache__" {
                collect(root, &name, files)?;
            }
        } else {
            files.push(SdkFile {
                name: name.to_string_lossy().into_owned(),
                bytes: std::fs::read(entry.path())?,
            });
        }
    }
    Ok(())
}

/// Hash of the SDK.
pub(crate) fn sdk_hash(files: &[SdkFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(Sha256::digest(&file.name));
        hash.update(Sha256::digest(&file.bytes));
    }
    hex::encode(hash.finalize())
}

/// All parts of a context.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) dockerfile: String,
    pub(crate) archive: Archive,
    pub(crate) sdk: Vec<SdkFile>,
    pub(crate) ca_bundle: Option<Vec<u8>>,
}

/// Writes the tar piece by piece into a channel; blocks. Ends early when nobody reads.
pub(crate) fn write(
    parts: Parts,
    limits: &Limits,
    pieces: mpsc::Sender<Result<Bytes, std::io::Error>>,
) -> anyhow::Result<()> {
    let failed = pieces.clone();
    let outcome = write_to(
        parts,
        limits,
        Pieces {
            pieces,
            buffer: Vec::with_capacity(CHUNK),
        },
    );
    if let Err(error) = &outcome {
        // The Engine must not take half a context for a whole one. When nobody reads any more, nobody is misled.
        failed
            .blocking_send(Err(std::io::Error::other(format!("{error:#}"))))
            .unwrap_or_default();
    }
    outcome
}

fn write_to<W: Write>(parts: Parts, limits: &Limits, target: W) -> anyhow::Result<()> {
    let mut tar = Builder::new(target);
    append(&mut tar, "Dockerfile", 0o644, parts.dockerfile.as_bytes())?;
    if let Some(certificates) = &parts.ca_bundle {
        append(&mut tar, "ca.pem", 0o644, certificates)?;
    }
    for file in &parts.sdk {
        append(&mut tar, &format!("sdk/{}", file.name), 0o644, &file.bytes)?;
    }
    append_bundle(&mut tar, parts.archive, limits)?;
    tar.into_inner()?.flush()?;
    Ok(())
}

fn append_bundle<W: Write>(tar: &mut Builder<W>, mut archive: Archive, limits: &Limits) -> anyhow::Result<()> {
    if archive.len() > limits.bundle_entries {
        bail!(
            "the bundle has {} entries; allowed are {}",
            archive.len(),
            limits.bundle_entries
        );
    }
    let mut left = limits.unpacked_mib.saturating_mul(1024 * 1024);
    for index in 0..archive.len() {
        let file = archive.by_index(index).context("the bundle is damaged")?;
        let Some(name) = safe_name(file.enclosed_name()) else {
            bail!("the bundle has an entry with an unsafe name")
        };
        let special = file
            .unix_mode()
            .map(|mode| mode & 0o170_000)
            .is_some_and(|kind| !matches!(kind, 0 | 0o040_000 | 0o100_000));
        if special || file.is_symlink() {
            bail!("`{name}` is a link or special file; a bundle has files and folders only");
        }
        if file.is_dir() {
            continue;
        }
        let executable = file.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
        // What is declared may be a lie: what is read counts.
        let mut bytes = Vec::new();
        file.take(left.saturating_add(1))
            .read_to_end(&mut bytes)
            .with_context(|| format!("`{name}` in the bundle is damaged"))?;
        left = left
            .checked_sub(bytes.len() as u64)
            .with_context(|| format!("the bundle has more than {} MiB unpacked", limits.unpacked_mib))?;
        append(
            tar,
            &format!("bundle/{name}"),
            if executable { 0o755 } else { 0o644 },
            &bytes,
        )?;
    }
    Ok(())
}

/// A relative name without any step up, in the tar's own spelling.
fn safe_name(name: Option<PathBuf>) -> Option<String> {
    let parts: Option<Vec<String>> = name?
        .components()
        .filter(|part| !matches!(part, Component::CurDir))
        .map(|part| match part {
            Component::Normal(part) => part.to_str().map(ToOwned::to_owned),
            _ => None,
        })
        .collect();
    parts.map(|parts| parts.join("/")).filter(|name| !name.is_empty())
}

/// Owner, time and mode are always the same, so that the same content is the same layer.
fn append<W: Write>(tar: &mut Builder<W>, name: &str, mode: u32, bytes: &[u8]) -> anyhow::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, name, bytes)
        .with_context(|| format!("could not put `{name}` into the build context"))
}

/// A writer into a channel.
struct Pieces {
    pieces: mpsc::Sender<Result<Bytes, std::io::Error>>,
    buffer: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK)));
        self.pieces
            .blocking_send(Ok(piece))
            .map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn bundle(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, mode, bytes) in entries {
            writer
                .start_file(*name, SimpleFileOptions::default().unix_permissions(*mode))
                .unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn written(bundle: Vec<u8>, limits: &Limits) -> anyhow::Result<Vec<(String, u32, u64)>> {
        let parts = Parts {
            dockerfile: "FROM x\n".to_owned(),
            archive: open(bundle)?,
            sdk: vec![SdkFile {
                name: "iot_sdk/a.py".to_owned(),
                bytes: vec![1],
            }],
            ca_bundle: Some(vec![2]),
        };
        let mut target = Vec::new();
        write_to(parts, limits, &mut target)?;
        let mut tar = tar::Archive::new(target.as_slice());
        let entries = tar.entries()?.map(|entry| {
            let entry = entry?;
            let path = entry.path()?.to_string_lossy().into_owned();
            Ok((path, entry.header().mode()?, entry.header().size()?))
        });
        entries.collect()
    }

    #[test]
    fn a_context_has_all_parts_with_safe_modes() {
        let bundle = bundle(&[
            ("main.py", 0o100_666, b"x"),
            ("bin/run.sh", 0o104_777, b"yy"),
            ("requirements.txt", 0o600, b"a==1\n"),
        ]);
        assert_eq!(
            requirements(&mut open(bundle.clone()).unwrap()).unwrap().as_deref(),
            Some("a==1\n")
        );
        let expected = [
            ("Dockerfile", 0o644, 7),
            ("ca.pem", 0o644, 1),
            ("sdk/iot_sdk/a.py", 0o644, 1),
            ("bundle/main.py", 0o644, 1),
            ("bundle/bin/run.sh", 0o755, 2),
            ("bundle/requirements.txt", 0o644, 5),
        ];
        let expected: Vec<_> = expected.map(|(name, mode, size)| (name.to_owned(), mode, size)).into();
        assert_eq!(written(bundle, &Limits::default()).unwrap(), expected);
    }

    #[test]
    fn what_could_matter_is_refused() {
        let small = Limits {
            unpacked_mib: 1,
            bundle_entries: 2,
            ..Limits::default()
        };
        let big = vec![0; 1024 * 1024 + 1];
        let cases: [(&str, Vec<u8>, &str); 4] = [
            ("traversal", bundle(&[("../x", 0o644, b"")]), "unsafe name"),
            ("link", bundle(&[("x", 0o120_777, b"/etc/passwd")]), ""),
            ("size", bundle(&[("x", 0o644, &big)]), "more than 1 MiB"),
            (
                "count",
                bundle(&[("a", 0o644, b""), ("b", 0o644, b""), ("c", 0o644, b"")]),
                "3 entries; allowed are 2",
            ),
        ];
        for (name, bundle, expected) in cases {
            match written(bundle, &small) {
                Err(error) => assert!(format!("{error:#}").contains(expected), "{name}: {error:#}"),
                // This writer drops the kind of a file, so that the link is a plain file.
                Ok(_) => assert_eq!(name, "link"),
            }
        }
        assert!(open(b"not a zip".to_vec()).is_err());
    }
}

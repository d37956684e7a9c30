//! Reads every entry of a zip once, counting: what is declared is not believed.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

use common::rules::Problem;
use common::rules::manifest::LARGEST;
use common::settings::Limits;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::{BundledFile, InspectError, MANIFEST};

/// Largest ratio of unpacked to packed; text reaches 10 to 20.
const LARGEST_RATIO: u64 = 100;
/// Below this size a ratio says nothing.
const SMALL: u64 = 1024 * 1024;
/// Longest time that one bundle may take.
const LONGEST: Duration = Duration::from_secs(30);

const WHOLE: &str = "(the zip)";
const FILE_TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

/// What was in a zip.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// Its files.
    pub(super) files: Vec<BundledFile>,
    /// Content of the manifest.
    pub(super) manifest: Option<Vec<u8>>,
}

type Archive<'a> = ZipArchive<BufReader<&'a File>>;

/// Reads a zip whose names were checked; `listed` is how many entries its directory has.
pub(super) fn read(mut file: &File, listed: usize, limits: &Limits) -> Result<Unpacked, InspectError> {
    file.seek(SeekFrom::Start(0))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| explain(WHOLE, &error))?;
    if archive.len() != listed || archive.offset() != 0 {
        return Err(Problem::new(WHOLE, "a directory that can be read in two ways", "one whole zip").into());
    }
    if archive
        .has_overlapping_entries()
        .map_err(|error| explain(WHOLE, &error))?
    {
        let found = "entries that share the same bytes, as in a zip bomb";
        return Err(Problem::new(WHOLE, found, "entries that lie one after the other").into());
    }
    archive
        .validate_header_consistency()
        .map_err(|error| explain(WHOLE, &error))?;
    check_entries(&archive, limits)?;
    unpack(&mut archive, limits)
}

/// Checks what the directory says of each entry.
fn check_entries(archive: &Archive<'_>, limits: &Limits) -> Result<(), InspectError> {
    let most = limits.unpacked_mib * 1024 * 1024;
    let mut problems = Vec::new();
    let mut declared = 0_u64;
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index).map_err(|error| explain(WHOLE, &error))?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        declared = declared.saturating_add(entry.size());
        if entry.encrypted() {
            problems.push(Problem::new(
                name.as_str(),
                "an encrypted file",
                "files without a password",
            ));
            continue;
        }
        let method = entry.compression();
        if method != CompressionMethod::Stored && method != CompressionMethod::Deflated {
            problems.push(Problem::new(
                name.as_str(),
                format!("the compression {method}"),
                "deflate, or none",
            ));
        }
        // Writers for other systems leave the upper half empty.
        problems.extend(check_mode(&name, entry.external_attributes() >> 16));
        if name.ends_with('/') && entry.size() > 0 {
            problems.push(Problem::new(
                name.as_str(),
                "a folder with content",
                "an empty entry for a folder",
            ));
        }
    }
    if declared > most {
        problems.push(too_large(declared, limits));
    }
    problems.truncate(20);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.into())
    }
}

fn check_mode(name: &str, mode: u32) -> Option<Problem> {
    let kind = mode & FILE_TYPE;
    let expected = if name.ends_with('/') { FOLDER } else { REGULAR };
    if kind != 0 && kind != expected {
        let found = match kind {
            0o120_000 => "a symbolic link",
            0o060_000 | 0o020_000 => "a device",
            0o010_000 => "a named pipe",
            0o140_000 => "a socket",
            FOLDER => "a folder whose name does not end with `/`",
            REGULAR => "a file whose name ends with `/`",
            _ => "an unknown kind of file",
        };
        return Some(Problem::new(name, found, "ordinary files and folders"));
    }
    (mode & 0o7000 != 0).then(|| {
        Problem::new(
            name,
            format!("the mode {:o}", mode & 0o7777),
            "a mode without setuid, setgid or sticky bit",
        )
    })
}

fn too_large(found: u64, limits: &Limits) -> Problem {
    let allowed = format!("at most {} MiB unpacked", limits.unpacked_mib);
    Problem::new(WHOLE, format!("{} MiB or more unpacked", found / 1024 / 1024), allowed)
}

fn unpack(archive: &mut Archive<'_>, limits: &Limits) -> Result<Unpacked, InspectError> {
    let most = limits.unpacked_mib * 1024 * 1024;
    let begun = Instant::now();
    let mut unpacked = Unpacked {
        files: Vec::new(),
        manifest: None,
    };
    let mut total = 0_u64;
    let mut buffer = vec![0_u8; 64 * 1024];
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| explain(WHOLE, &error))?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let (declared, packed) = (entry.size(), entry.compressed_size());
        let mut kept = (name == MANIFEST).then(Vec::new);
        let mut counted = 0_u64;
        loop {
            let read = match entry.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Err(unreadable(&name, &error)),
            };
            counted += read as u64;
            total += read as u64;
            check_growth(&name, counted, declared, packed)?;
            if total > most {
                return Err(too_large(total, limits).into());
            }
            if begun.elapsed() > LONGEST {
                return Err(Problem::new(WHOLE, "a zip that takes longer than 30 s to unpack", "a smaller zip").into());
            }
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(&buffer[..read]);
                if kept.len() > LARGEST {
                    return Err(Problem::new(
                        MANIFEST,
                        format!("more than {LARGEST} bytes"),
                        format!("at most {LARGEST} bytes"),
                    )
                    .into());
                }
            }
        }
        if counted != declared {
            return Err(lies(&name, format!("{counted} bytes, declared as {declared}")).into());
        }
        unpacked.manifest = kept.or(unpacked.manifest);
        if !name.ends_with('/') {
            unpacked.files.push(BundledFile {
                name,
                size_bytes: counted,
            });
        }
    }
    Ok(unpacked)
}

fn check_growth(name: &str, counted: u64, declared: u64, packed: u64) -> Result<(), Problem> {
    if counted > declared {
        return Err(lies(name, format!("more than the {declared} bytes that it declares")));
    }
    if counted > SMALL && counted / packed.max(1) > LARGEST_RATIO {
        let found = format!("content that is more than {LARGEST_RATIO} times larger than in the zip");
        return Err(Problem::new(
            name,
            found,
            format!("at most {LARGEST_RATIO} times for files above 1 MiB"),
        ));
    }
    Ok(())
}

fn lies(name: &str, found: String) -> Problem {
    Problem::new(name, found, "the size that the zip's directory says")
}

fn unreadable(name: &str, error: &std::io::Error) -> InspectError {
    let allowed = "a whole file whose checksum is right; make the zip again";
    Problem::new(name, format!("broken data ({error})"), allowed).into()
}

fn explain(path: &str, error: &ZipError) -> Problem {
    let found = match error {
        ZipError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => "a truncated zip".to_owned(),
        ZipError::UnsupportedArchive(why) => format!("an unsupported zip ({why})"),
        ZipError::InvalidArchive(why) => format!("a broken zip ({why})"),
        other => format!("a broken zip ({other})"),
    };
    Problem::new(path, found, "a whole zip whose entries match its directory")
}

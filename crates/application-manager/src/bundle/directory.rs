//! The end of a zip: its central directory, read by our own few lines before a library touches it.
//!
//! Zips that two programs read differently are refused here: a second end record, bytes before the first entry, a gap between
//! directory and end. So the names that are checked are the names that everybody else sees, and memory is bounded beforehand.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use common::rules::Problem;
use common::settings::Limits;

use super::InspectError;

const END: [u8; 4] = *b"PK\x05\x06";
const END_LENGTH: usize = 22;
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const ENTRY_LENGTH: usize = 46;
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LONGEST_COMMENT: usize = 65_535;
/// Bytes of the directory that an ordinary entry may take.
const ENTRY_BUDGET: u64 = 1024;
/// What it may take beyond that, so that one absurd entry is named instead of counted.
const BASE_BUDGET: u64 = 256 * 1024;

const WHOLE: &str = "(the zip)";

/// Returns the raw name of each entry of the directory, also of those that are there twice.
pub(super) fn read(mut file: &File, limits: &Limits) -> Result<Vec<Vec<u8>>, InspectError> {
    let size = file.seek(SeekFrom::End(0))?;
    if size == 0 {
        return Err(refuse("an empty file", "a zip").into());
    }
    let mut head = [0_u8; 4];
    let whole_head = size >= 4;
    file.seek(SeekFrom::Start(0))?;
    if whole_head {
        file.read_exact(&mut head)?;
    }
    if head == END {
        return Err(refuse("a zip without files", "a zip with app.json at its top").into());
    }
    if head != LOCAL {
        let found = if head.starts_with(b"PK") {
            "a part of a split zip"
        } else {
            "a file that is no zip"
        };
        return Err(refuse(found, "one whole zip that begins with its first entry").into());
    }
    let tail_length = size.min((END_LENGTH + LONGEST_COMMENT) as u64);
    let tail_start = size - tail_length;
    let tail = bytes(file, tail_start, tail_length)?;
    let end = find_end(&tail)?;
    let directory = locate(&tail[end..], tail_start + end as u64, limits)?;
    let directory = bytes(file, directory.start, directory.length)?;
    let names = walk(&directory)?;
    if names.len() > limits.bundle_entries {
        let allowed = format!("at most {} files and folders", limits.bundle_entries);
        return Err(refuse(format!("{} files and folders", names.len()), allowed).into());
    }
    Ok(names)
}

fn refuse(found: impl std::fmt::Display, allowed: impl Into<String>) -> Problem {
    Problem::new(WHOLE, found, allowed)
}

fn bytes(mut file: &File, start: u64, length: u64) -> Result<Vec<u8>, InspectError> {
    let mut bytes = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Finds the end record: the last one in the file, whose comment reaches to the end, and the only one that does.
fn find_end(tail: &[u8]) -> Result<usize, Problem> {
    let reaches_end = |at: &usize| at + END_LENGTH + usize::from(u16_at(tail, at + 20)) == tail.len();
    let places = (0..tail.len().saturating_sub(END_LENGTH - 1)).filter(|&at| tail[at..].starts_with(&END));
    let places: Vec<usize> = places.collect();
    let allowed = "a whole zip with one end record at its end";
    let Some(&last) = places.last() else {
        return Err(refuse("a truncated zip: its end record is missing", allowed));
    };
    if !reaches_end(&last) {
        let found = "an end record that is not at the end: the zip is truncated or something follows it";
        return Err(refuse(found, allowed));
    }
    if places.iter().filter(|at| reaches_end(at)).count() > 1 {
        return Err(refuse(
            "two end records, so that programs would read different files",
            allowed,
        ));
    }
    Ok(last)
}

#[derive(Debug)]
struct Directory {
    start: u64,
    length: u64,
}

/// Reads the end record: where the directory is. It must reach exactly to the record.
fn locate(end: &[u8], position: u64, limits: &Limits) -> Result<Directory, Problem> {
    let (disk, directory_disk) = (u16_at(end, 4), u16_at(end, 6));
    let (length, start) = (u64::from(u32_at(end, 12)), u64::from(u32_at(end, 16)));
    let entries = u16_at(end, 10);
    if entries == u16::MAX || length == u64::from(u32::MAX) || start == u64::from(u32::MAX) {
        // Needed for more than 65,534 entries or 4 GiB only, both far above any limit.
        return Err(refuse(
            "a zip64 archive",
            "an ordinary zip of fewer than 65,535 entries",
        ));
    }
    if disk != 0 || directory_disk != 0 || u16_at(end, 8) != entries {
        return Err(refuse("a part of a split zip", "one whole zip"));
    }
    let budget = BASE_BUDGET.saturating_add(ENTRY_BUDGET.saturating_mul(limits.bundle_entries as u64));
    if length > budget {
        let allowed = format!("at most {} files and folders", limits.bundle_entries);
        return Err(refuse(format!("a directory of {length} bytes"), allowed));
    }
    if start.checked_add(length) != Some(position) {
        let found = "a directory that does not lie before its end record: truncated, or put together of two files";
        return Err(refuse(found, "one whole zip, nothing before it and nothing in between"));
    }
    Ok(Directory { start, length })
}

fn walk(directory: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    let broken = || refuse("a broken directory", "a whole zip");
    let mut names = Vec::new();
    let mut rest = directory;
    while !rest.is_empty() {
        if rest.len() < ENTRY_LENGTH || !rest.starts_with(&ENTRY) {
            return Err(broken());
        }
        let name = usize::from(u16_at(rest, 28));
        let after = usize::from(u16_at(rest, 30)) + usize::from(u16_at(rest, 32));
        let name_bytes = rest.get(ENTRY_LENGTH..ENTRY_LENGTH + name).ok_or_else(broken)?;
        names.push(name_bytes.to_vec());
        rest = rest.get(ENTRY_LENGTH + name + after..).ok_or_else(broken)?;
    }
    Ok(names)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .map_or(0, |two| u16::from_le_bytes([two[0], two[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .map_or(0, |four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

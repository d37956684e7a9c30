//! A sample application as the zip that a developer would upload.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Zips the files of a folder; `rename` may change what a file holds.
///
/// # Errors
/// When a file can not be read.
pub fn of_folder(folder: &Path, rename: impl Fn(&str, String) -> String) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
            let text = rename(&name, text);
            files.push((name, text));
        }
    }
    files.sort();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    of_files(&files)
}

/// Zips files.
///
/// # Errors
/// When a name does not fit into a zip.
pub fn of_files(files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default())?;
        zip.write_all(text.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

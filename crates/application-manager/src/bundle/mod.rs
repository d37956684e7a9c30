//! From an uploaded zip to a checked bundle, or to a report of what is wrong with it.
//!
//! Nobody's zip is ever unpacked to disk here: entries are read once, counted, and thrown away; only `app.json` is kept. The
//! upload itself lies in a file without a name, so that nothing is left behind, not even by a kill.
//!
//! # Invariants
//! - Memory does not grow with the zip: its directory is bounded before anything is parsed.
//! - What the directory says and what the data is must agree: names, sizes, checksums, order without overlap.

mod directory;
mod entries;
mod name;
mod receive;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use common::manifest::Manifest;
use common::rules::Problem;
use common::rules::manifest::{self, KnownTypes};
use common::settings::{Limits, Settings};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

pub use receive::{ReceiveError, Received, receive};

/// Name of the manifest inside a bundle.
const MANIFEST: &str = "app.json";

/// A zip that passed every check.
#[derive(Debug)]
pub struct Bundle {
    /// What it says about itself.
    pub manifest: Manifest,
    /// SHA-256 of the zip, hex.
    pub sha256: String,
    /// Size of the zip, in bytes.
    pub size_bytes: u64,
    /// Sum of its unpacked files, in bytes.
    pub unpacked_bytes: u64,
    /// Its files, as they come.
    pub files: Vec<BundledFile>,
    /// The zip itself.
    pub zip: File,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BundledFile {
    /// Path inside the bundle.
    pub name: String,
    /// Unpacked size, in bytes.
    pub size_bytes: u64,
}

/// What is wrong with a bundle; the body of a 422.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Report {
    /// Every problem: where, what was found, what is allowed. Never empty.
    pub problems: Vec<Problem>,
}

/// Why a bundle was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It is the developer's to mend.
    #[error("the bundle is refused: {}", common::rules::problem::listed(&.0.problems))]
    Refused(Report),
    /// It could not be read back from the disk.
    #[error("the upload could not be read back")]
    Disk(#[source] std::io::Error),
}

impl From<Problem> for InspectError {
    fn from(problem: Problem) -> Self {
        Self::Refused(Report {
            problems: vec![problem],
        })
    }
}

impl From<Vec<Problem>> for InspectError {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Refused(Report { problems })
    }
}

impl From<std::io::Error> for InspectError {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Where uploads come in.
///
/// `POST /api/v1/applications` calls [`Intake::receive`] with the multipart field `bundle`, then [`Intake::inspect`], then
/// `catalogue::Catalogue::upload`.
#[derive(Debug, Clone)]
pub struct Intake {
    limits: Limits,
    dir: PathBuf,
    inspections: Arc<Semaphore>,
}

impl Intake {
    /// Uploads lie below the installation's data directory while they are checked.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self::with(settings.limits.clone(), settings.data_dir.join("uploads"))
    }

    /// As [`Intake::new`], with limits and a folder of one's own.
    #[must_use]
    pub fn with(limits: Limits, dir: PathBuf) -> Self {
        // Inflating is all CPU: more at once would only take turns, and starve the rest of the process.
        Self {
            limits,
            dir,
            inspections: Arc::new(Semaphore::new(2)),
        }
    }

    /// Takes an upload in, piece by piece, up to the largest bundle.
    ///
    /// # Errors
    /// When it is too large, breaks off, or the disk does not take it.
    pub async fn receive<S, E>(&self, pieces: S) -> Result<Received, ReceiveError>
    where
        S: futures_util::Stream<Item = Result<bytes::Bytes, E>> + Send + Unpin,
        E: std::fmt::Display,
    {
        receive(pieces, &self.dir, self.limits.bundle_mib * 1024 * 1024).await
    }

    /// Checks an upload; `known_types` are the registry's types, when they are at hand.
    ///
    /// # Errors
    /// [`InspectError::Refused`] with the report for the developer.
    pub async fn inspect(&self, received: Received, known_types: Option<KnownTypes>) -> Result<Bundle, InspectError> {
        let permit = self
            .inspections
            .clone()
            .acquire_owned()
            .await
            .map_err(std::io::Error::other)?;
        let limits = self.limits.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            inspect(received, &limits, known_types.as_ref())
        });
        checked.await.map_err(std::io::Error::other)?
    }
}

/// Checks an upload. Blocks for as long as unpacking takes.
///
/// # Errors
/// As [`Intake::inspect`].
pub fn inspect(received: Received, limits: &Limits, known_types: Option<&KnownTypes>) -> Result<Bundle, InspectError> {
    let names = directory::read(&received.file, limits)?;
    let problems = name::check_all(&names);
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let unpacked = entries::read(&received.file, names.len(), limits)?;
    let manifest = check_manifest(&unpacked, limits, known_types)?;
    Ok(Bundle {
        manifest,
        sha256: received.sha256,
        size_bytes: received.size_bytes,
        unpacked_bytes: unpacked.files.iter().map(|file| file.size_bytes).sum(),
        files: unpacked.files,
        zip: received.file,
    })
}

fn check_manifest(
    unpacked: &entries::Unpacked,
    limits: &Limits,
    known_types: Option<&KnownTypes>,
) -> Result<Manifest, InspectError> {
    let Some(bytes) = &unpacked.manifest else {
        return Err(missing_manifest(&unpacked.files).into());
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let found = format!("bytes that are no UTF-8 at byte {}", error.valid_up_to());
        Problem::new(MANIFEST, found, "JSON in UTF-8")
    })?;
    let parsed = manifest::parse(text)?;
    let mut problems = manifest::check(&parsed, limits, known_types);
    problems.extend(missing_program(&parsed, &unpacked.files));
    if problems.is_empty() {
        Ok(parsed)
    } else {
        Err(problems.into())
    }
}

/// The most common mistake is to zip the folder instead of what is in it.
fn missing_manifest(files: &[BundledFile]) -> Problem {
    let elsewhere = files.iter().find(|file| {
        file.name
            .rsplit('/')
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(MANIFEST))
    });
    match elsewhere {
        Some(file) => Problem::new(
            MANIFEST,
            format!("it as {}", common::rules::problem::shown(&file.name)),
            "app.json at the top of the zip: zip what is in the folder, not the folder",
        ),
        None => Problem::new(MANIFEST, "no such file in the zip", "a zip with app.json at its top"),
    }
}

/// A script that `start` names and that is not there would fail only when somebody runs the application.
fn missing_program(manifest: &Manifest, files: &[BundledFile]) -> Option<Problem> {
    let [program, script, ..] = manifest.start.as_slice() else {
        return None;
    };
    let interpreted = program == "python" || program == "python3";
    let name = script.strip_prefix("./").unwrap_or(script);
    if !interpreted || !name.ends_with(".py") || name.starts_with('/') || files.iter().any(|file| file.name == name) {
        return None;
    }
    let scripts = files
        .iter()
        .map(|file| file.name.as_str())
        .filter(|name| name.ends_with(".py"))
        .take(20);
    Some(Problem::new(
        "start[1]",
        format!("{}, which is not in the zip", common::rules::problem::shown(script)),
        common::rules::problem::one_of(name, scripts),
    ))
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

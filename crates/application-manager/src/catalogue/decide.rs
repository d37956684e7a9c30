//! What an upload, a change of listing or the end of a build makes of an application. Pure.

use common::manifest::Manifest;
use common::messages::application::{Application, ApplicationVersion, BundleRef, Listed, VersionState};
use common::{Timestamp, UserId, VersionId};

use super::{ChangeError, UploadError, application_id, version_id};

/// Largest application with all its manifests, as JSON: it travels whole in one record of at most 1 MB.
const LARGEST: usize = 700 * 1024;

/// What a developer brings.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) developer: UserId,
    pub(super) reference: BundleRef,
    pub(super) manifest: Manifest,
    pub(super) listed: Option<Listed>,
}

/// Decides what an upload makes of an application; none: it is there already, just so.
pub(super) fn decide_upload(
    current: Option<&Application>,
    upload: &Upload,
    now: Timestamp,
    version: u64,
) -> Result<Option<Application>, UploadError> {
    let name = upload.manifest.name.to_string();
    let number = upload.manifest.version.to_string();
    let mut application = current.cloned().unwrap_or_else(|| Application {
        id: application_id(&name),
        name: name.clone(),
        title: String::new(),
        description: String::new(),
        owner: upload.developer,
        listed: Listed::Named { users: Vec::new() },
        versions: Vec::new(),
        version,
        created: now,
        updated: now,
    });
    if application.owner != upload.developer {
        return Err(UploadError::NameTaken { name });
    }
    let same_listing = upload
        .listed
        .as_ref()
        .is_none_or(|listed| *listed == application.listed);
    match application.versions.iter().find(|version| version.number == number) {
        Some(found) if found.bundle.sha256 != upload.reference.sha256 => {
            return Err(UploadError::VersionTaken { name, number });
        }
        Some(_) if same_listing => return Ok(None),
        Some(_) => {}
        None => application.versions.push(ApplicationVersion {
            id: version_id(application.id, &number),
            number,
            manifest: upload.manifest.clone(),
            bundle: upload.reference.clone(),
            uploaded: now,
            state: VersionState::Building,
        }),
    }
    if let Some(listed) = &upload.listed {
        application.listed = listed.clone();
    }
    if let Some(newest) = application
        .versions
        .iter()
        .map(|version| &version.manifest)
        .max_by(|a, b| a.version.cmp(&b.version))
    {
        application.title.clone_from(&newest.title);
        application.description.clone_from(&newest.description);
    }
    application.version = version;
    application.updated = now;
    if serde_json::to_string(&application).map_or(usize::MAX, |json| json.len()) > LARGEST {
        return Err(UploadError::TooManyVersions { name });
    }
    Ok(Some(application))
}

/// Decides who sees an application; none: it is so already.
pub(super) fn decide_listed(
    current: Option<&Application>,
    listed: &Listed,
    expected: Option<u64>,
    now: Timestamp,
    version: u64,
) -> Result<Option<Application>, ChangeError> {
    let current = current.ok_or(ChangeError::NotFound)?;
    if let Some(expected) = expected
        && expected != current.version
    {
        return Err(ChangeError::OtherVersion {
            found: current.version,
            expected,
        });
    }
    if current.listed == *listed {
        return Ok(None);
    }
    Ok(Some(Application {
        listed: listed.clone(),
        version,
        updated: now,
        ..current.clone()
    }))
}

/// Decides what a report of a build makes of an application; an error is why the report can never work.
pub(super) fn decide_build(
    current: Option<&Application>,
    id: VersionId,
    outcome: &VersionState,
    now: Timestamp,
    version: u64,
) -> Result<Option<Application>, String> {
    let mut application = current.cloned().ok_or("there is no such application")?;
    if *outcome == VersionState::Building {
        return Err("a build ends as ready or failed".to_owned());
    }
    let built = application.versions.iter_mut().find(|version| version.id == id);
    let built = built.ok_or("the application has no such version")?;
    if built.state == *outcome {
        return Ok(None);
    }
    built.state = outcome.clone();
    application.version = version;
    application.updated = now;
    Ok(Some(application))
}

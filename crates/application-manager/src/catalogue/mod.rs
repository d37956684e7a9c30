//! The catalogue: which applications there are, whose they are, who sees them, how far their versions are.
//!
//! # Invariants
//! - A name belongs to the developer who used it first; an application's id follows from its name.
//! - A version never changes but for the state of its image: the same zip again is the same version, another zip is refused.
//! - The bundle is stored before anybody hears of the version.

mod decide;

use async_trait::async_trait;
use common::messages::application::{Application, ApplicationCommand, ApplicationEvent, BundleRef, Listed};
use common::{ApplicationId, Envelope, MessageId, Timestamp, UserId, VersionId};
use runtime::{Applied, ApplyError, Bus, BusError, Change, Entities, Entity, HandleError, Handler, Record, StoreError};
use serde::{Deserialize, Serialize};

use crate::bundle::Bundle;
use crate::bundles::Bundles;

use decide::{Upload, decide_build, decide_listed, decide_upload};

/// An application as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApplicationRecord {
    /// The application.
    pub application: Application,
}

impl Entity for ApplicationRecord {
    const COLLECTION: &'static str = "application_manager_applications";
    const INDEXES: &'static [&'static str] = &["owner"];
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("owner", self.application.owner.to_string())]
    }
}

/// Why an upload was not taken into the catalogue.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// 409.
    #[error("the name `{name}` belongs to another developer; choose another `name` in app.json")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// 409.
    #[error(
        "version {number} of `{name}` was uploaded before with other content, and versions never change; raise `version` in app.json"
    )]
    VersionTaken {
        /// The name.
        name: String,
        /// The version.
        number: String,
    },
    /// 409.
    #[error("the manifests of all versions of `{name}` together are too large; use another name for what comes next")]
    TooManyVersions {
        /// The name.
        name: String,
    },
    /// 503: whether it was taken is unknown; the same upload again is safe.
    #[error("the catalogue can not be written now; try again")]
    Unavailable(#[source] anyhow::Error),
}

/// Why an application was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// 404.
    #[error("there is no such application")]
    NotFound,
    /// 412.
    #[error("it is at version {found} now, not at {expected}; read it again")]
    OtherVersion {
        /// Version it has.
        found: u64,
        /// Version that was expected.
        expected: u64,
    },
    /// 503.
    #[error("the catalogue can not be written now; try again")]
    Unavailable(#[source] anyhow::Error),
}

/// The catalogue.
#[derive(Debug, Clone)]
pub struct Catalogue {
    applications: Entities<ApplicationRecord>,
    bundles: Bundles,
    bus: Bus,
}

/// Returns the id of the application with that name.
#[must_use]
pub fn application_id(name: &str) -> ApplicationId {
    ApplicationId::derive(&["application", name])
}

/// Returns the id of a version.
#[must_use]
pub fn version_id(application: ApplicationId, number: &str) -> VersionId {
    VersionId::derive(&["version", &application.to_string(), number])
}

impl Catalogue {
    /// Works on the applications and the bundles; `bus` names the source of what is published.
    #[must_use]
    pub fn new(applications: Entities<ApplicationRecord>, bundles: Bundles, bus: Bus) -> Self {
        Self {
            applications,
            bundles,
            bus,
        }
    }

    /// Takes a checked bundle into the catalogue and publishes the application; its image is built from there on.
    ///
    /// `listed` of a second upload changes nothing when it is none; a new application is then seen by its developer only.
    ///
    /// # Errors
    /// When the name or the version is taken, or something does not answer. The same upload again is always safe.
    pub async fn upload(
        &self,
        developer: UserId,
        bundle: Bundle,
        listed: Option<Listed>,
    ) -> Result<(Application, VersionId), UploadError> {
        let upload = Upload {
            developer,
            reference: BundleRef {
                sha256: bundle.sha256,
                size_bytes: bundle.size_bytes,
            },
            manifest: bundle.manifest,
            listed,
        };
        let id = application_id(upload.manifest.name.as_str()).to_string();
        // Before anything is stored: a refused upload leaves no bundle behind.
        let current = self.applications.get(&id).await.map_err(unavailable)?;
        let current = current.as_ref().map(|stored| &stored.entity.application);
        decide_upload(current, &upload, Timestamp::now(), 0)?;
        let BundleRef { sha256, size_bytes } = &upload.reference;
        self.bundles
            .put(sha256, *size_bytes, &bundle.zip)
            .await
            .map_err(unavailable)?;
        self.record(&id, &upload).await
    }

    async fn record(&self, id: &str, upload: &Upload) -> Result<(Application, VersionId), UploadError> {
        let now = Timestamp::now();
        let decide = |current: Option<&ApplicationRecord>, version: u64| match decide_upload(
            current.map(|record| &record.application),
            upload,
            now,
            version,
        )? {
            None => Ok(Change::Keep),
            Some(application) => self
                .put(application, None, now)
                .map_err(|error| UploadError::Unavailable(error.into())),
        };
        let applied = self
            .applications
            .apply(id, None, decide)
            .await
            .map_err(|error| match error {
                ApplyError::Refused(refusal) => refusal,
                ApplyError::Store(error) => unavailable(error),
            })?;
        let application =
            entity(applied).ok_or_else(|| UploadError::Unavailable(anyhow::anyhow!("it is gone again")))?;
        let version = version_id(application.id, &upload.manifest.version.to_string());
        Ok((application, version))
    }

    /// Returns an application by its name.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn get(&self, name: &str) -> Result<Option<Application>, StoreError> {
        let found = self.applications.get(&application_id(name).to_string()).await?;
        Ok(found.map(|stored| stored.entity.application))
    }

    /// Changes who sees an application; `expected` is the version that the caller saw (`If-Match`).
    ///
    /// # Errors
    /// When there is none, it has changed since, or the store does not answer.
    pub async fn set_listed(
        &self,
        name: &str,
        listed: &Listed,
        expected: Option<u64>,
    ) -> Result<Application, ChangeError> {
        let now = Timestamp::now();
        let decide = |current: Option<&ApplicationRecord>, version: u64| {
            let current = current.map(|record| &record.application);
            match decide_listed(current, listed, expected, now, version)? {
                None => Ok(Change::Keep),
                Some(application) => self
                    .put(application, None, now)
                    .map_err(|error| ChangeError::Unavailable(error.into())),
            }
        };
        let id = application_id(name).to_string();
        let applied = self
            .applications
            .apply(&id, None, decide)
            .await
            .map_err(|error| match error {
                ApplyError::Refused(refusal) => refusal,
                ApplyError::Store(error) => ChangeError::Unavailable(error.into()),
            })?;
        entity(applied).ok_or(ChangeError::NotFound)
    }

    /// Makes the change that writes an application and publishes it.
    fn put(
        &self,
        application: Application,
        cause: Option<&Envelope<ApplicationCommand>>,
        now: Timestamp,
    ) -> Result<Change<ApplicationRecord>, BusError> {
        let event = ApplicationEvent::Changed {
            application: Box::new(application.clone()),
        };
        let record = if let Some(cause) = cause {
            self.bus.follow(cause, 0, now, event)?
        } else {
            let id = MessageId::derive(&[
                "application",
                &application.id.to_string(),
                &application.version.to_string(),
            ]);
            Record::of(&Envelope::first(id, self.bus.source(), now, event))?
        };
        Ok(Change::Put {
            entity: ApplicationRecord { application },
            records: vec![record],
        })
    }
}

/// `application.commands`: how builds ended.
#[async_trait]
impl Handler<ApplicationCommand> for Catalogue {
    async fn handle(&self, envelope: &Envelope<ApplicationCommand>) -> Result<(), HandleError> {
        let ApplicationCommand::RecordBuild {
            application,
            version,
            outcome,
        } = &envelope.message;
        let now = Timestamp::now();
        let decide = |current: Option<&ApplicationRecord>, number: u64| -> Result<_, HandleError> {
            let current = current.map(|record| &record.application);
            match decide_build(current, *version, outcome, now, number).map_err(HandleError::Reject)? {
                None => Ok(Change::Keep),
                Some(application) => Ok(self.put(application, Some(envelope), now)?),
            }
        };
        match self
            .applications
            .apply(&application.to_string(), Some(envelope.id), decide)
            .await
        {
            Ok(_) => Ok(()),
            Err(ApplyError::Refused(error)) => Err(error),
            Err(ApplyError::Store(error)) => Err(error.into()),
        }
    }
}

fn unavailable(error: StoreError) -> UploadError {
    UploadError::Unavailable(error.into())
}

fn entity(applied: Applied<ApplicationRecord>) -> Option<Application> {
    match applied {
        Applied::Changed(stored) | Applied::Kept(Some(stored)) | Applied::Duplicate(Some(stored)) => {
            Some(stored.entity.application)
        }
        Applied::Deleted | Applied::Kept(None) | Applied::Duplicate(None) => None,
    }
}

#[cfg(test)]
mod tests;

//! `application.events` → versions to build.

use std::sync::Arc;

use async_trait::async_trait;
use common::messages::application::{Application, ApplicationEvent, ApplicationVersion};
use common::{ApplicationId, Envelope, Timestamp};
use runtime::{Bus, BusError, Change, Entities, HandleError, Handler};
use tokio::sync::Notify;

use super::not_applied;
use crate::records::VersionRecord;
use crate::versions::{self, Asked};

/// Records versions.
#[derive(Debug)]
pub(crate) struct Applications {
    pub(crate) versions: Entities<VersionRecord>,
    pub(crate) bus: Bus,
    /// Something is to be built.
    pub(crate) wake: Arc<Notify>,
    /// Something is to be removed.
    pub(crate) discarded: Arc<Notify>,
}

#[async_trait]
impl Handler<ApplicationEvent> for Applications {
    async fn handle(&self, envelope: &Envelope<ApplicationEvent>) -> Result<(), HandleError> {
        match &envelope.message {
            ApplicationEvent::Changed { application } => {
                for version in &application.versions {
                    self.fold(envelope, application, version).await?;
                }
                self.wake.notify_one();
            }
            ApplicationEvent::Deleted { id } => {
                self.forget(*id).await?;
                self.discarded.notify_one();
            }
        }
        Ok(())
    }
}

impl Applications {
    async fn fold(
        &self,
        envelope: &Envelope<ApplicationEvent>,
        application: &Application,
        version: &ApplicationVersion,
    ) -> Result<(), HandleError> {
        let now = Timestamp::now();
        let decide = |current: Option<&VersionRecord>, _| {
            Ok(match (versions::fold(application, version, current), current) {
                (Asked::Keep(record), _) => Change::Put {
                    entity: *record,
                    records: Vec::new(),
                },
                (Asked::ReportAgain, Some(current)) => {
                    let report = versions::report(current).map(|report| self.bus.follow(envelope, 0, now, report));
                    Change::Put {
                        entity: current.clone(),
                        records: report.transpose()?.into_iter().collect(),
                    }
                }
                _ => Change::Keep,
            })
        };
        self.versions
            .apply(&version.id.to_string(), Some(envelope.id), decide)
            .await
            .map_err(not_applied)?;
        Ok(())
    }

    /// What runs of the application goes on to its end; then the cleaner removes the images.
    async fn forget(&self, application: ApplicationId) -> Result<(), HandleError> {
        for version in self.versions.list(&[("application", &application.to_string())]).await? {
            let discard = |current: Option<&VersionRecord>, _| {
                Ok::<_, BusError>(match current.and_then(versions::discard) {
                    Some(entity) => Change::Put {
                        entity,
                        records: Vec::new(),
                    },
                    None => Change::Keep,
                })
            };
            self.versions
                .apply(&version.id, None, discard)
                .await
                .map_err(not_applied)?;
        }
        Ok(())
    }
}

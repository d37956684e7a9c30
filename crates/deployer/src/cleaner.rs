//! Makes it so that what nobody needs is gone: records of instances that ended long ago, images of deleted applications.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use common::messages::instance::InstanceEvent;
use common::settings::Settings;
use common::{Envelope, InstanceId, Message as _, MessageId, Timestamp, Topic, VersionId};
use runtime::{Bus, BusError, Change, Duty, Entities, Record};
use tokio::sync::Notify;

use crate::docker::{Engine, EngineError};
use crate::records::{Build, InstanceRecord, VersionRecord};
use crate::registry::{Deleted, Registry};
use crate::retention::{self, Removal};

/// Time between two looks at images when nobody wakes the loop.
const LOOK: Duration = Duration::from_secs(60);
/// The same after one that failed.
const SOON: Duration = Duration::from_secs(5);
/// Time between two looks at instances that ended: there may be many, and days do not pass faster.
const RARELY: Duration = Duration::from_secs(3600);

/// The loop.
#[derive(Debug)]
pub(crate) struct Cleaner {
    pub(crate) instances: Entities<InstanceRecord>,
    pub(crate) versions: Entities<VersionRecord>,
    pub(crate) engine: Engine,
    pub(crate) registry: Registry,
    pub(crate) bus: Bus,
    pub(crate) settings: Arc<Settings>,
    /// One copy cleans up.
    pub(crate) duty: Duty,
    /// A version was discarded, or a container could not be started, perhaps for want of its image.
    pub(crate) wake: Arc<Notify>,
    /// Something is to be built.
    pub(crate) build: Arc<Notify>,
}

impl Cleaner {
    /// Runs until the service ends.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut looked: Option<Instant> = None;
        loop {
            self.duty.taken().await;
            let mut pause = LOOK;
            if let Err(error) = self.restore_images().await {
                tracing::debug!("whether the registry has every image is looked at again soon: {error:#}");
                pause = SOON;
            }
            if let Err(error) = self.remove_images().await {
                tracing::debug!("images of deleted applications stay for now: {error:#}");
            }
            if looked.is_none_or(|moment| moment.elapsed() >= RARELY) {
                match self.forget_instances(Timestamp::now()).await {
                    Ok(()) => looked = Some(Instant::now()),
                    Err(error) => tracing::debug!("instances that ended stay for now: {error:#}"),
                }
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Forgets instances that ended long ago.
    pub(crate) async fn forget_instances(&self, now: Timestamp) -> anyhow::Result<()> {
        let days = self.settings.limits.instance_days;
        let mut records = Vec::new();
        for live in ["no", "yes"] {
            let found = self.instances.list(&[("live", live)]).await?;
            records.extend(found.into_iter().map(|stored| stored.entity));
        }
        for id in retention::forgettable(&records, days, now) {
            self.forget(id, days, now).await?;
        }
        Ok(())
    }

    async fn forget(&self, id: InstanceId, days: u64, now: Timestamp) -> anyhow::Result<()> {
        let decide = |current: Option<&InstanceRecord>, _| {
            if !current.is_some_and(|record| retention::is_old(record, days, now)) {
                return Ok(Change::Keep);
            }
            let event = InstanceEvent::Deleted { id };
            let tombstone = Record::tombstone(Topic::InstanceEvents, event.key());
            let cause = MessageId::derive(&["deployer", &id.to_string(), "forgotten"]);
            let event = Record::of(&Envelope::first(cause, self.bus.source(), now, event))?;
            Ok::<_, BusError>(Change::Delete {
                records: vec![event, tombstone],
            })
        };
        let applied = self.instances.apply(&id.to_string(), None, decide).await;
        applied
            .map_err(|error| anyhow::anyhow!("{error}"))
            .with_context(|| format!("could not forget the instance {id}"))?;
        tracing::info!(instance = %id, days, "forgotten, as it ended long ago");
        Ok(())
    }

    /// Has images built or pushed again that the registry should have and has not.
    async fn restore_images(&self) -> anyhow::Result<()> {
        for stored in self.versions.list(&[("build", "ready")]).await? {
            let Build::Ready { image } = &stored.entity.build else {
                continue;
            };
            let moved = !image.starts_with(&format!("{}/", self.settings.engine.registry));
            if !moved && self.registry.has(image).await? {
                continue;
            }
            let decide = |current: Option<&VersionRecord>, _| {
                let same = current.filter(|current| current.build == stored.entity.build);
                Ok::<_, BusError>(same.map_or(Change::Keep, |current| Change::Put {
                    entity: VersionRecord {
                        build: Build::Wanted {
                            attempt: 0,
                            not_before: None,
                        },
                        ..current.clone()
                    },
                    records: Vec::new(),
                }))
            };
            let applied = self.versions.apply(&stored.id, None, decide).await;
            applied.map_err(|error| anyhow::anyhow!("{error}"))?;
            tracing::warn!(image, "the registry does not have it (any more): it is made again");
            self.build.notify_one();
        }
        Ok(())
    }

    async fn remove_images(&self) -> anyhow::Result<()> {
        let mut versions = self.versions.list(&[("build", "discarded")]).await?;
        if versions.is_empty() {
            return Ok(());
        }
        for build in ["wanted", "ready"] {
            versions.extend(self.versions.list(&[("build", build)]).await?);
        }
        let versions: Vec<_> = versions.into_iter().map(|stored| stored.entity).collect();
        let live = self.instances.list(&[("live", "yes")]).await?;
        let live: Vec<_> = live.into_iter().map(|stored| stored.entity).collect();
        let registry = &self.settings.engine.registry;
        for removal in retention::removals(registry, &self.settings.name, &versions, &live) {
            // One that is stuck must not keep the others.
            if let Err(error) = self.remove(&removal).await {
                tracing::debug!(version = %removal.version, "an image stays for now: {error:#}");
            }
        }
        Ok(())
    }

    /// Removes an image from this host and from the registry; then there is nothing left to know of the version.
    async fn remove(&self, removal: &Removal) -> anyhow::Result<()> {
        for name in removal.name.iter().chain(&removal.image) {
            match self.engine.remove_image(name).await {
                Ok(()) => {}
                Err(error @ EngineError::Refused { .. }) => return Err(error).context("it is still in use"),
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(image) = &removal.image
            && self.registry.delete(image).await? == Deleted::NotAllowed
        {
            tracing::info!(image, "the registry keeps it, as it lets nobody delete");
        }
        self.strike(removal.version).await?;
        tracing::info!(version = %removal.version, image = removal.image, "removed the image of a deleted application");
        Ok(())
    }

    async fn strike(&self, version: VersionId) -> anyhow::Result<()> {
        let decide = |current: Option<&VersionRecord>, _| {
            let discarded = current.is_some_and(|record| matches!(record.build, Build::Discarded { .. }));
            Ok::<_, BusError>(if discarded {
                Change::Delete { records: Vec::new() }
            } else {
                Change::Keep
            })
        };
        let applied = self.versions.apply(&version.to_string(), None, decide).await;
        applied.map(drop).map_err(|error| anyhow::anyhow!("{error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use common::messages::instance::InstanceState;
    use runtime::memory::MemoryBus;
    use runtime::store::MemoryDocuments;

    use super::*;
    use crate::instance::enter;
    use crate::instance::tests::{id, requested};
    use crate::plan::tests::settings;

    #[tokio::test]
    async fn an_old_instance_is_told_to_be_gone_once_and_its_key_ends() {
        let (memory, bus) = MemoryBus::bus("deployer");
        let documents = Arc::new(MemoryDocuments::default());
        let cleaner = Cleaner {
            instances: Entities::new(documents.clone(), bus.clone()),
            versions: Entities::new(documents, bus.clone()),
            engine: Engine::new(Path::new("/nonexistent"), "test", std::net::Ipv4Addr::LOCALHOST.into()),
            registry: Registry::default(),
            bus,
            settings: Arc::new(settings()),
            duty: Duty::always(),
            wake: Arc::default(),
            build: Arc::default(),
        };
        let mut record = requested();
        let ended = Timestamp::from_millis(5);
        enter(record.instance.as_mut().unwrap(), InstanceState::Succeeded, ended);
        record.cleaned = true;
        let put = |_: Option<&InstanceRecord>, _| {
            Ok::<_, String>(Change::Put {
                entity: record.clone(),
                records: Vec::new(),
            })
        };
        cleaner.instances.apply(&id().to_string(), None, put).await.unwrap();
        let days = i64::try_from(cleaner.settings.limits.instance_days).unwrap();
        let due = ended.plus_millis(days * 24 * 3_600_000);
        cleaner.forget_instances(due.plus_millis(-1)).await.unwrap();
        assert!(memory.records().is_empty());
        for _ in 0..2 {
            cleaner.forget_instances(due).await.unwrap();
        }
        assert_eq!(
            memory.messages::<InstanceEvent>(),
            [InstanceEvent::Deleted { id: id() }]
        );
        let published = memory.records();
        assert_eq!(published.len(), 2);
        assert_eq!(
            (published[1].key.clone(), published[1].payload.clone()),
            (id().to_string(), None)
        );
        assert!(cleaner.instances.get(&id().to_string()).await.unwrap().is_none());
    }
}

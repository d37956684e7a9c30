//! Makes images so: one build at a time, again from the start after an interruption.

mod log;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use common::settings::Settings;
use common::{Envelope, MessageId, Timestamp};
use runtime::{Bus, BusError, Change, Duty, Entities, Record};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::backoff;
use crate::context::{self, Parts};
use crate::docker::{Engine, EngineError};
use crate::image::{self, FINGERPRINT_LABEL, Recipe};
use crate::lines::Piece;
use crate::records::{Build, VersionRecord};
use crate::store::{BundleError, Bundles};
use crate::versions;
use log::BuildLog;

/// Longest build.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Time between two looks when nobody wakes the loop.
const LOOK: Duration = Duration::from_secs(2);
/// Tries until a bundle that is not in the store is given up.
const BUNDLE_TRIES: u32 = 5;

/// The loop.
#[derive(Debug)]
pub(crate) struct Builder {
    pub(crate) versions: Entities<VersionRecord>,
    pub(crate) bundles: Bundles,
    pub(crate) engine: Engine,
    pub(crate) bus: Bus,
    pub(crate) settings: Arc<Settings>,
    /// One copy builds; another would do the same once more.
    pub(crate) duty: Duty,
    /// Something is to be built.
    pub(crate) wake: Arc<Notify>,
    /// Something was built.
    pub(crate) built: Arc<Notify>,
}

/// Why there is no image.
#[derive(Debug)]
enum Failure {
    /// It can not be built, for the developer.
    Permanent(String),
    /// Something is away.
    Passing(String),
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Passing(error.to_string())
    }
}

impl Builder {
    /// Runs until the service ends.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        loop {
            self.duty.taken().await;
            match self.next().await {
                Ok(Some(record)) => {
                    if let Err(error) = self.build(record).await {
                        tracing::warn!("a build waits: {error:#}");
                        tokio::time::sleep(LOOK).await;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the builder waits for mongodb"),
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn next(&self) -> Result<Option<VersionRecord>, runtime::StoreError> {
        let now = Timestamp::now();
        let wanted = self.versions.list(&[("build", "wanted")]).await?;
        Ok(wanted
            .into_iter()
            .map(|stored| stored.entity)
            .filter(|record| !matches!(record.build, Build::Wanted { not_before: Some(moment), .. } if moment > now))
            .min_by_key(|record| match record.build {
                Build::Wanted { attempt, .. } => attempt,
                _ => u32::MAX,
            }))
    }

    async fn build(&self, record: VersionRecord) -> anyhow::Result<()> {
        let Build::Wanted { attempt, .. } = record.build else {
            return Ok(());
        };
        let before = attempt;
        let attempt = attempt + 1;
        // Durable before the first line is logged, so that an interrupted try and the next one do not share numbers.
        if !self
            .settle(
                &record,
                before,
                Build::Wanted {
                    attempt,
                    not_before: None,
                },
            )
            .await?
        {
            return Ok(());
        }
        tracing::info!(application = %record.manifest.name, version = record.number, attempt, "building");
        let mut log = BuildLog::start(&self.bus, &record, attempt);
        let outcome = match tokio::time::timeout(TIMEOUT, self.attempt(&record, attempt, &log.output)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Permanent(format!(
                "the build did not end within {} minutes",
                TIMEOUT.as_secs() / 60
            ))),
        };
        let build = match outcome {
            Ok(image) => {
                log.say(&format!("ready: {image}"));
                Build::Ready { image }
            }
            Err(Failure::Permanent(reason)) => {
                log.say(&format!("failed: {reason}"));
                Build::Failed { reason }
            }
            Err(Failure::Passing(why)) => {
                log.say(&format!("it is tried again soon: {why}"));
                tracing::warn!(application = %record.manifest.name, version = record.number, "the build waits: {why}");
                Build::Wanted {
                    attempt,
                    not_before: Some(backoff::retry_at(attempt, Timestamp::now())),
                }
            }
        };
        let build = match (build, log.finish().await) {
            (Build::Failed { reason }, quoted) if !quoted.is_empty() => Build::Failed {
                reason: format!("{reason}\n{}", quoted.join("\n")),
            },
            (build, _) => build,
        };
        self.settle(&record, attempt, build).await?;
        self.built.notify_one();
        Ok(())
    }

    /// Writes how far it is and reports an end. `false`: the version is not wanted any more, or another copy is at it.
    async fn settle(&self, wanted: &VersionRecord, tried: u32, build: Build) -> anyhow::Result<bool> {
        let decide = |current: Option<&VersionRecord>, version| {
            let Some(current) = current else {
                return Ok(Change::Keep);
            };
            let same_try = matches!(current.build, Build::Wanted { attempt, .. } if attempt == tried);
            if !same_try || current.bundle != wanted.bundle {
                return Ok(Change::Keep);
            }
            let record = VersionRecord {
                build: build.clone(),
                ..current.clone()
            };
            let id = MessageId::derive(&["deployer", &record.id.to_string(), "built", &u64::to_string(&version)]);
            let records: Vec<Record> = versions::report(&record)
                .map(|report| Record::of(&Envelope::first(id, self.bus.source(), Timestamp::now(), report)))
                .transpose()?
                .into_iter()
                .collect();
            Ok::<_, BusError>(Change::Put {
                entity: record,
                records,
            })
        };
        let applied = self.versions.apply(&wanted.id.to_string(), None, decide).await;
        Ok(matches!(
            applied.map_err(|error| anyhow::anyhow!("{error}"))?,
            runtime::Applied::Changed(_)
        ))
    }

    async fn attempt(
        &self,
        record: &VersionRecord,
        attempt: u32,
        output: &mpsc::UnboundedSender<Piece>,
    ) -> Result<String, Failure> {
        let settings = &self.settings;
        let runtime = record.manifest.runtime.base_image();
        let Some(base) = settings.engine.base_images.get(runtime) else {
            return Err(Failure::Permanent(format!(
                "this installation has no image for the runtime `{runtime}`"
            )));
        };
        let base_id = match self.engine.image(base).await? {
            Some(found) => found.id,
            None => {
                return Err(Failure::Passing(format!(
                    "image {base} is missing; `bootstrap up` makes it"
                )));
            }
        };
        let bundle = self.bundles.fetch(&record.bundle).await.map_err(|error| match error {
            BundleError::Away(_) => Failure::Passing(error.to_string()),
            BundleError::Missing if attempt < BUNDLE_TRIES => Failure::Passing(error.to_string()),
            _ => Failure::Permanent(error.to_string()),
        })?;
        let parts = self.parts(record, base, bundle).await?;
        let fingerprint = image::fingerprint(
            &parts.dockerfile,
            &base_id,
            &record.bundle.sha256,
            &context::sdk_hash(&parts.sdk),
        );
        let repository = image::repository(&settings.engine.registry, &settings.name, record.manifest.name.as_str());
        let tag = image::tag(&record.number);
        let name = format!("{repository}:{tag}");
        let known = self.engine.image(&name).await?;
        if known.is_none_or(|image| image.labels.get(FINGERPRINT_LABEL) != Some(&fingerprint)) {
            self.run_build(&name, fingerprint, parts, output).await?;
        }
        self.engine.push(&repository, &tag).await?;
        let pushed = self
            .engine
            .image(&name)
            .await?
            .map(|image| image.digests)
            .unwrap_or_default();
        let digest = pushed
            .into_iter()
            .find(|digest| digest.starts_with(&format!("{repository}@")));
        digest.ok_or_else(|| Failure::Passing(format!("{name} has no digest after it was pushed")))
    }

    async fn parts(&self, record: &VersionRecord, base: &str, bundle: Vec<u8>) -> Result<Parts, Failure> {
        let mut archive = context::open(bundle).map_err(|error| Failure::Permanent(format!("{error:#}")))?;
        let text = context::requirements(&mut archive).map_err(|error| Failure::Permanent(format!("{error:#}")))?;
        let requirements = image::requirements(text.as_deref());
        let platform = async |path: &Path| {
            let bytes = tokio::fs::read(path)
                .await
                .with_context(|| format!("could not read {}", path.display()));
            bytes.map_err(|error| Failure::Passing(format!("{error:#}")))
        };
        let ca_bundle = match &self.settings.engine.ca_bundle {
            Some(path) if requirements != image::Requirements::None => Some(platform(path).await?),
            _ => None,
        };
        let folder = self.settings.engine.sdk_dir.clone();
        let sdk = tokio::task::spawn_blocking(move || context::read_sdk(&folder))
            .await
            .map_err(anyhow::Error::from)
            .flatten()
            .map_err(|error| Failure::Passing(format!("{error:#}")))?;
        let recipe = Recipe {
            base,
            manifest: &record.manifest,
            requirements,
            ca_bundle: ca_bundle.is_some(),
        };
        Ok(Parts {
            dockerfile: image::dockerfile(&recipe),
            archive,
            sdk,
            ca_bundle,
        })
    }

    async fn run_build(
        &self,
        name: &str,
        fingerprint: String,
        parts: Parts,
        output: &mpsc::UnboundedSender<Piece>,
    ) -> Result<(), Failure> {
        let (sender, receiver) = mpsc::channel(8);
        let limits = self.settings.limits.clone();
        let writing = tokio::task::spawn_blocking(move || context::write(parts, &limits, sender));
        let labels = HashMap::from([(FINGERPRINT_LABEL.to_owned(), fingerprint)]);
        let built = self
            .engine
            .build(name, &labels, ReceiverStream::new(receiver), output)
            .await;
        // A bundle that can not be unpacked ends the Engine's work as well; its own words say more.
        let written = writing.await.map_err(|error| Failure::Passing(error.to_string()))?;
        match (written, built) {
            (_, Ok(())) => Ok(()),
            (Err(error), Err(_)) if !error.chain().any(|cause| cause.is::<std::io::Error>()) => {
                Err(Failure::Permanent(format!("{error:#}")))
            }
            (_, Err(EngineError::Refused { message, .. })) if !is_passing(&message) => Err(Failure::Permanent(message)),
            (_, Err(error)) => Err(error.into()),
        }
    }
}

/// Errors of a build step that are the host's, not the bundle's.
fn is_passing(message: &str) -> bool {
    [
        "no space left on device",
        "Cannot connect to the Docker daemon",
        "context canceled",
        "i/o timeout",
    ]
    .iter()
    .any(|sign| message.contains(sign))
}

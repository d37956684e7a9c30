//! Makes instances so: looks, decides, writes the decision, takes the steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::messages::instance::InstanceState;
use common::settings::Settings;
use common::token::TokenKey;
use common::{Envelope, InstanceId, MessageId, Timestamp, VersionId};
use runtime::health::Part;
use runtime::store::Stored;
use runtime::{ApplyError, Bus, BusError, Change, Context, Duty, Entities, Record};
use tokio::sync::Notify;

use crate::docker::{Engine, EngineError, Observed, TaskSeen, TaskState};
use crate::handlers::changed;
use crate::probe::{Address, Probes};
use crate::reconcile::{self, Facts, Image, Step};
use crate::records::{Build, InstanceRecord, VersionRecord};

/// Time between two looks when nobody wakes the loop.
const LOOK: Duration = Duration::from_secs(1);
/// The same while something is about to change.
const EAGER: Duration = Duration::from_millis(250);
/// How long the loop stays eager after it was woken: the Swarm learns of an end later than the Engine tells of it.
const ALERT: Duration = Duration::from_secs(2);
/// Without a look that worked for so long, the duty is left to another copy.
const UNABLE: Duration = Duration::from_secs(5);
/// A look that takes so long is given up; the next one decides anew.
const HANGS: Duration = Duration::from_secs(20);
/// Time until the Engine is asked again for what it refused.
const REFUSED_MILLIS: i64 = 5000;

/// The loop.
pub(crate) struct Executor {
    settings: Arc<Settings>,
    bus: Bus,
    engine: Engine,
    key: TokenKey,
    instances: Entities<InstanceRecord>,
    versions: Entities<VersionRecord>,
    probes: Probes,
    part: Part,
    wake: Arc<Notify>,
    duty: Duty,
    /// An image may be missing.
    missing: Arc<Notify>,
    /// What the Engine refused, and until when it is not asked again.
    refused: HashMap<InstanceId, (String, Timestamp)>,
}

impl Executor {
    pub(crate) fn new(
        context: &Context,
        engine: Engine,
        key: TokenKey,
        instances: Entities<InstanceRecord>,
        versions: Entities<VersionRecord>,
        (wake, missing, duty): (Arc<Notify>, Arc<Notify>, Duty),
    ) -> Self {
        Self {
            settings: context.settings.clone(),
            bus: context.bus.clone(),
            engine,
            key,
            instances,
            versions,
            probes: Probes::new(wake.clone()),
            part: context.health.part("docker engine"),
            wake,
            duty,
            missing,
            refused: HashMap::new(),
        }
    }

    /// Runs until the service ends. Without the duty it only looks whether its Engine could do it.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut woken: Option<Instant> = None;
        let mut worked = Instant::now();
        loop {
            let looking = async {
                if self.duty.held() {
                    self.look().await
                } else {
                    self.engine.manages().await.map(|()| false).map_err(Into::into)
                }
            };
            // An Engine that hangs says nothing for a minute.
            let looked = tokio::time::timeout(HANGS, looking).await;
            let looked = looked.unwrap_or_else(|_| Err(anyhow::anyhow!("docker engine says nothing")));
            if looked.is_ok() {
                worked = Instant::now();
            }
            // Another copy may have an Engine that answers.
            self.duty.set_able(worked.elapsed() < UNABLE);
            let pause = match looked {
                Ok(moving) => {
                    self.part.ready();
                    let alert = woken.is_some_and(|woken| woken.elapsed() < ALERT);
                    if moving || alert { EAGER } else { LOOK }
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    tracing::debug!("the executor waits: {text}");
                    self.part.waits_for(&text);
                    LOOK
                }
            };
            tokio::select! {
                () = self.wake.notified() => woken = Some(Instant::now()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look at everything. Returns whether something is about to change.
    async fn look(&mut self) -> anyhow::Result<bool> {
        // Services first: a service that is seen has a record that is older.
        let observed = self.engine.observe().await?;
        let mut live = self.instances.list(&[("live", "yes")]).await?;
        live.sort_by_key(|stored| {
            stored
                .entity
                .instance
                .as_ref()
                .map(|instance| (instance.spec.due, instance.id))
        });
        let images = self.images(&live).await?;
        let mut healthy = self.probes.watch(&pages(&live, &observed));
        // What answered when another process asked counts until this one has asked itself.
        let unknown = self.probes.unknown();
        let told = live.iter().filter_map(|stored| stored.entity.instance.as_ref());
        let told = told.flat_map(|instance| &instance.endpoints);
        let told = told.map(|endpoint| (endpoint.host.clone(), endpoint.port));
        healthy.extend(told.filter(|address| unknown.contains(address)));
        let mut launched = live.iter().filter(|stored| counts(&stored.entity)).count();
        let mut moving = false;
        for stored in &live {
            let before = counts(&stored.entity);
            let after = self.settle(stored, &observed, &images, &healthy, launched).await?;
            launched += usize::from(!before && counts(&after));
            moving |= after.instance.is_some_and(|instance| {
                matches!(instance.state, InstanceState::Starting | InstanceState::Stopping { .. })
            });
        }
        self.remove_strays(&live, &observed).await?;
        Ok(moving)
    }

    async fn images(&self, live: &[Stored<InstanceRecord>]) -> anyhow::Result<BTreeMap<VersionId, Image>> {
        let wanted: BTreeSet<VersionId> = live
            .iter()
            // One that does not get on may have an image that the registry has no more.
            .filter(|stored| stored.entity.image.is_none() || is_stuck(&stored.entity))
            .filter_map(|stored| Some(stored.entity.instance.as_ref()?.spec.version.version))
            .collect();
        let mut images = BTreeMap::new();
        for version in wanted {
            let image = match self
                .versions
                .get(&version.to_string())
                .await?
                .map(|stored| stored.entity.build)
            {
                None | Some(Build::Discarded { .. }) => Image::Unknown,
                Some(Build::Wanted { .. }) => Image::Building,
                Some(Build::Ready { image }) => Image::Ready(image),
                Some(Build::Failed { reason }) => Image::Failed(reason),
            };
            images.insert(version, image);
        }
        Ok(images)
    }

    /// Decides on one instance, writes, and takes the steps. Returns the record as it is then.
    async fn settle(
        &mut self,
        stored: &Stored<InstanceRecord>,
        observed: &Observed,
        images: &BTreeMap<VersionId, Image>,
        healthy: &BTreeSet<Address>,
        launched: usize,
    ) -> anyhow::Result<InstanceRecord> {
        let Some(instance) = &stored.entity.instance else {
            return Ok(stored.entity.clone());
        };
        let (id, now) = (instance.id, Timestamp::now());
        let tasks = observed.tasks.get(&id).map(Vec::as_slice).unwrap_or_default();
        if tasks.iter().any(|task| is_new_rejection(task, &stored.entity)) {
            self.missing.notify_one();
        }
        self.refused.retain(|_, (_, until)| *until > now);
        let allowed = self.settings.limits.instances;
        let full = format!("{launched} instances run; allowed are {allowed} (`limits.instances` in config.json)");
        let facts = Facts {
            settings: &self.settings,
            image: images
                .get(&instance.spec.version.version)
                .cloned()
                .unwrap_or(Image::Unknown),
            service: observed.services.get(&id),
            tasks,
            secret: observed.secrets.get(&id).map(String::as_str),
            full: (launched >= allowed).then_some(full),
            refusal: self.refused.get(&id).map(|(why, _)| why.clone()),
            healthy,
            now,
        };
        let mut decision = reconcile::decide(&stored.entity, &facts);
        if decision.record != stored.entity {
            // Someone else may have changed it since it was listed: decide on what is there now.
            let decide = |current: Option<&InstanceRecord>, version: u64| {
                let Some(current) = current else {
                    decision.steps.clear();
                    return Ok(Change::Keep);
                };
                decision = reconcile::decide(current, &facts);
                self.change(current, &mut decision.record, version, now)
            };
            self.instances
                .apply(&stored.id, None, decide)
                .await
                .map_err(|error| match error {
                    ApplyError::Refused(error) => anyhow::Error::from(error),
                    ApplyError::Store(error) => error.into(),
                })?;
        }
        let launches = decision.steps.iter().any(|step| matches!(step, Step::Launch(_)));
        if launches && decision.record == stored.entity && !self.is_current(stored).await? {
            return Ok(decision.record);
        }
        for step in decision.steps {
            if !self.duty.held() {
                anyhow::bail!("the duty went to another copy");
            }
            self.take(id, step, now).await?;
        }
        Ok(decision.record)
    }

    /// Whether nobody has changed a record since it was listed.
    async fn is_current(&self, stored: &Stored<InstanceRecord>) -> anyhow::Result<bool> {
        let now = self.instances.get(&stored.id).await?;
        Ok(now.is_some_and(|now| now.version == stored.version))
    }

    /// The write of a decision, with the event when people can see the change.
    fn change(
        &self,
        current: &InstanceRecord,
        record: &mut InstanceRecord,
        version: u64,
        now: Timestamp,
    ) -> Result<Change<InstanceRecord>, BusError> {
        if record == current {
            return Ok(Change::Keep);
        }
        let mut records = Vec::new();
        if record.instance != current.instance
            && let Some(instance) = &mut record.instance
        {
            let event = changed(instance, version);
            let id = MessageId::derive(&["deployer", &instance.id.to_string(), "state", &version.to_string()]);
            tracing::info!(instance = %instance.id, state = instance.state.name(), "changed");
            records.push(Record::of(&Envelope::first(id, self.bus.source(), now, event))?);
        }
        Ok(Change::Put {
            entity: record.clone(),
            records,
        })
    }

    async fn take(&mut self, id: InstanceId, step: Step, now: Timestamp) -> Result<(), EngineError> {
        let token = self.key.issue(id);
        let outcome = match &step {
            Step::Launch(plan) => self.engine.launch(plan, &token).await,
            Step::Update { seen, plan, replicas } => self.engine.update(seen, plan, *replicas, &token).await,
            Step::RemoveService(service) => self.engine.remove_service(service).await,
            Step::RemoveSecret(secret) => self.engine.remove_secret(secret).await,
        };
        match outcome {
            Err(EngineError::Refused { message, .. }) if matches!(step, Step::Launch(_)) => {
                tracing::warn!(instance = %id, "the Engine refuses to start it: {message}");
                let why = format!("the Engine does not take it: {message}");
                self.refused.insert(id, (why, now.plus_millis(REFUSED_MILLIS)));
                Ok(())
            }
            // Changed by someone else in between, or still in use: the next look decides anew.
            Err(error @ EngineError::Refused { .. }) => {
                tracing::debug!(instance = %id, %error, "a step waits");
                Ok(())
            }
            other => other,
        }
    }

    /// Removes what belongs to no instance that is wanted.
    async fn remove_strays(&self, live: &[Stored<InstanceRecord>], observed: &Observed) -> anyhow::Result<()> {
        let known: BTreeSet<InstanceId> = live
            .iter()
            .filter_map(|stored| Some(stored.entity.instance.as_ref()?.id))
            .collect();
        let seen: BTreeSet<InstanceId> = observed
            .services
            .keys()
            .chain(observed.secrets.keys())
            .filter(|id| !known.contains(id))
            .copied()
            .collect();
        for id in seen {
            // The list may be older than what others did since.
            if self
                .instances
                .get(&id.to_string())
                .await?
                .is_some_and(|stored| stored.entity.is_live())
            {
                continue;
            }
            tracing::info!(instance = %id, "removing what belongs to no instance");
            if let Some(service) = observed.services.get(&id) {
                self.engine.remove_service(&service.id).await?;
            } else if let Some(secret) = observed.secrets.get(&id)
                && let Err(error @ EngineError::Away(_)) = self.engine.remove_secret(secret).await
            {
                return Err(error.into());
            }
        }
        Ok(())
    }
}

/// Whether it was launched and does not run.
fn is_stuck(record: &InstanceRecord) -> bool {
    let state = record.instance.as_ref().map(|instance| &instance.state);
    matches!(state, Some(InstanceState::Failing { .. } | InstanceState::Starting))
}

/// Whether a container could not be started, which nobody has looked at yet.
fn is_new_rejection(task: &TaskSeen, record: &InstanceRecord) -> bool {
    task.state == TaskState::Rejected && !record.ends.counted.contains(&task.id)
}

/// Whether it takes one of the places for instances.
fn counts(record: &InstanceRecord) -> bool {
    record.image.is_some()
        && record
            .instance
            .as_ref()
            .is_some_and(|instance| !instance.state.is_final())
}

/// Addresses where pages may answer, and the path to ask for.
fn pages(live: &[Stored<InstanceRecord>], observed: &Observed) -> BTreeMap<Address, Option<String>> {
    let mut wanted = BTreeMap::new();
    for instance in live.iter().filter_map(|stored| stored.entity.instance.as_ref()) {
        let Some(page) = &instance.spec.version.manifest.page else {
            continue;
        };
        for task in observed.tasks.get(&instance.id).into_iter().flatten() {
            if let Some(address) = reconcile::page_address(instance, task) {
                wanted.insert(address, page.health.clone());
            }
        }
    }
    wanted
}

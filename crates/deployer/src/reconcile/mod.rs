//! What is wanted of an instance, compared with what the Swarm has: its state and the steps to take. Pure.

mod observe;

use std::collections::BTreeSet;

use common::Timestamp;
use common::messages::binding::{BindingState, Missing};
use common::messages::instance::{Instance, InstanceState};
use common::settings::Settings;

use crate::docker::{ServiceSeen, TaskSeen, TaskState};
use crate::instance::enter;
use crate::plan::{self, ServicePlan};
use crate::records::{InstanceRecord, Stop};

/// Time that the node agent gets to read the last lines of a container that ended.
const DRAIN_MILLIS: i64 = 5000;
/// Time beyond its own that an instance gets to stop before it is taken for stopped (its host may be lost).
const STOP_MARGIN_MILLIS: i64 = 60_000;
/// Time that the catalogue gets to tell of a version.
const CATALOGUE_MILLIS: i64 = 5000;

/// How far the image of the instance's version is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Image {
    /// The catalogue did not tell of the version yet.
    Unknown,
    /// It is being built.
    Building,
    /// By digest.
    Ready(String),
    /// It could not be built.
    Failed(String),
}

/// What is so, for one instance.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) image: Image,
    pub(crate) service: Option<&'a ServiceSeen>,
    pub(crate) tasks: &'a [TaskSeen],
    /// Name of the token in the Swarm, when there is one.
    pub(crate) secret: Option<&'a str>,
    /// Why there is no room for one more.
    pub(crate) full: Option<String>,
    /// What the Engine said when the service was asked for; while this is set it is not asked again.
    pub(crate) refusal: Option<String>,
    /// Addresses whose pages answer.
    pub(crate) healthy: &'a BTreeSet<(String, u16)>,
    pub(crate) now: Timestamp,
}

/// What to do in the Engine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Create token and service.
    Launch(Box<ServicePlan>),
    /// Make a service what is planned, with so many copies.
    Update {
        seen: ServiceSeen,
        plan: Box<ServicePlan>,
        replicas: u32,
    },
    /// Remove a service.
    RemoveService(String),
    /// Remove a token.
    RemoveSecret(String),
}

/// The new record and the steps; the record must be durable before the steps are taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    pub(crate) record: InstanceRecord,
    pub(crate) steps: Vec<Step>,
}

/// Decides.
pub(crate) fn decide(record: &InstanceRecord, facts: &Facts<'_>) -> Decision {
    let mut record = record.clone();
    let Some(mut instance) = record.instance.take() else {
        return Decision {
            record,
            steps: Vec::new(),
        };
    };
    let overdue = instance.spec.stop_at.is_some_and(|end| end <= facts.now);
    if overdue && record.stop.is_none() && !instance.state.is_final() {
        record.stop = Some(Stop {
            why: "its time is over".to_owned(),
            at: facts.now,
        });
    }
    let mut case = Case {
        record: &mut record,
        instance: &mut instance,
        facts,
        steps: Vec::new(),
    };
    if case.instance.state.is_final() {
        case.clean_up();
    } else if let Some(stop) = case.record.stop.clone() {
        case.stop(&stop);
    } else if let Some(image) = case.record.image.clone() {
        case.observe(&image);
    } else {
        case.launch();
    }
    let steps = case.steps;
    record.instance = Some(instance);
    Decision { record, steps }
}

struct Case<'a> {
    record: &'a mut InstanceRecord,
    instance: &'a mut Instance,
    facts: &'a Facts<'a>,
    steps: Vec<Step>,
}

impl Case<'_> {
    fn enter(&mut self, state: InstanceState) {
        enter(self.instance, state, self.facts.now);
    }

    fn wait(&mut self, missing: Vec<Missing>, why: String) {
        self.enter(InstanceState::Waiting { missing, why });
    }

    /// After the end: the service goes when its last lines are read, then the token, then there is nothing left to do.
    fn clean_up(&mut self) {
        let ended = self.instance.ended.unwrap_or(self.facts.now);
        let drained = matches!(self.instance.state, InstanceState::Stopped { .. })
            || self.facts.now.millis_since(ended) >= DRAIN_MILLIS;
        if !drained {
            return;
        }
        if let Some(service) = self.facts.service {
            self.steps.push(Step::RemoveService(service.id.clone()));
        } else if let Some(secret) = self.facts.secret {
            self.steps.push(Step::RemoveSecret(secret.to_owned()));
        } else {
            self.record.cleaned = true;
        }
    }

    fn stop(&mut self, stop: &Stop) {
        let allowed = i64::from(self.instance.spec.version.manifest.stop_timeout_seconds) * 1000 + STOP_MARGIN_MILLIS;
        let late = self.facts.now.millis_since(stop.at) > allowed;
        let over = self.facts.tasks.iter().all(|task| task.state.is_over()) || late;
        if let Some(service) = self.facts.service {
            self.steps.push(Step::RemoveService(service.id.clone()));
        } else if over || self.record.image.is_none() {
            return self.enter(InstanceState::Stopped { why: stop.why.clone() });
        }
        self.enter(InstanceState::Stopping { why: stop.why.clone() });
    }

    /// Nothing was launched yet: what is missing?
    fn launch(&mut self) {
        match self.record.binding.as_ref().map(|binding| &binding.state) {
            Some(BindingState::Bound { .. }) => {}
            Some(BindingState::Unsatisfied { missing }) => {
                let why = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                return self.wait(missing.clone(), why);
            }
            Some(BindingState::Released) | None => return,
        }
        let Some(image) = self.image() else { return };
        if let Some(why) = self.facts.refusal.clone().or_else(|| self.facts.full.clone()) {
            return self.wait(Vec::new(), why);
        }
        self.enter(InstanceState::Starting);
        let plan = plan::plan(self.facts.settings, self.instance, &image);
        self.record.image = Some(image);
        self.steps.push(Step::Launch(Box::new(plan)));
    }

    /// The image, or a state that says why there is none.
    fn image(&mut self) -> Option<String> {
        let number = &self.instance.spec.version.number;
        let why = match &self.facts.image {
            Image::Ready(image) => return Some(image.clone()),
            Image::Unknown if self.facts.now.millis_since(self.instance.since) < CATALOGUE_MILLIS => return None,
            Image::Unknown => format!("version {number} is not in the catalogue (yet)"),
            Image::Building => format!("the image of version {number} is being built"),
            Image::Failed(reason) => {
                let line = reason.lines().next().unwrap_or_default();
                format!("the image of version {number} could not be built: {line}; upload a version that builds")
            }
        };
        self.wait(Vec::new(), why);
        None
    }
}

/// Where a running task serves its pages.
pub(crate) fn page_address(instance: &Instance, task: &TaskSeen) -> Option<(String, u16)> {
    let page = instance.spec.version.manifest.page.as_ref()?;
    if task.state != TaskState::Running || !task.wanted {
        return None;
    }
    let (_, port) = task.ports.iter().find(|(target, _)| *target == page.port)?;
    Some((task.address.clone(), *port))
}

#[cfg(test)]
mod tests;

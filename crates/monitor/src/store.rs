//! What the monitor remembers: the newest verdict on each thing that it watches, and whether admins were told of its trouble.

use common::Timestamp;
use common::messages::health::{Component, ComponentHealth, HealthState, ServiceCopy, ServiceEvent, ServiceHealth};
use runtime::Entity;
use serde::{Deserialize, Serialize};

use crate::liveness::Verdict;

/// The newest verdict on a copy of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The verdict.
    pub health: ServiceHealth,
    /// Whether admins were told of its trouble.
    #[serde(default)]
    pub told: bool,
}

impl Entity for Judged {
    const COLLECTION: &'static str = "monitor_services";
}

/// The newest verdict on a host, Kafka or MongoDB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// The verdict.
    pub health: ComponentHealth,
    /// Whether admins were told of its trouble.
    #[serde(default)]
    pub told: bool,
}

impl Entity for Watched {
    const COLLECTION: &'static str = "monitor_components";
}

/// A verdict on something of a kind.
pub trait Judgement: Entity {
    /// What is judged.
    type Subject: Clone + Ord + std::fmt::Display + Send + Sync + 'static;

    /// A verdict with its moment and version.
    fn new(subject: &Self::Subject, verdict: &Verdict, since: Timestamp, version: u64, told: bool) -> Self;
    /// What is judged.
    fn subject(&self) -> &Self::Subject;
    /// The verdict.
    fn verdict(&self) -> Verdict;
    /// Since when the state is so.
    fn since(&self) -> Timestamp;
    /// Whether admins were told of its trouble.
    fn told(&self) -> bool;
    /// The same, told or not told.
    #[must_use]
    fn with_told(&self, told: bool, version: u64) -> Self {
        Self::new(self.subject(), &self.verdict(), self.since(), version, told)
    }
    /// What is published.
    fn event(&self) -> ServiceEvent;
    /// What people call the subject.
    fn title(&self) -> String;
    /// The state.
    fn state(&self) -> HealthState {
        self.verdict().state
    }
}

impl Judgement for Judged {
    type Subject = ServiceCopy;

    fn new(subject: &ServiceCopy, verdict: &Verdict, since: Timestamp, version: u64, told: bool) -> Self {
        let health = ServiceHealth {
            copy: subject.clone(),
            state: verdict.state,
            cause: verdict.cause.clone(),
            since,
            version,
        };
        Self { health, told }
    }

    fn subject(&self) -> &ServiceCopy {
        &self.health.copy
    }

    fn verdict(&self) -> Verdict {
        Verdict {
            state: self.health.state,
            cause: self.health.cause.clone(),
        }
    }

    fn since(&self) -> Timestamp {
        self.health.since
    }

    fn told(&self) -> bool {
        self.told
    }

    fn event(&self) -> ServiceEvent {
        ServiceEvent::Changed {
            health: self.health.clone(),
        }
    }

    fn title(&self) -> String {
        format!("{} on {}", self.health.copy.service, self.health.copy.host)
    }
}

impl Judgement for Watched {
    type Subject = Component;

    fn new(subject: &Component, verdict: &Verdict, since: Timestamp, version: u64, told: bool) -> Self {
        let health = ComponentHealth {
            component: subject.clone(),
            state: verdict.state,
            cause: verdict.cause.clone(),
            since,
            version,
        };
        Self { health, told }
    }

    fn subject(&self) -> &Component {
        &self.health.component
    }

    fn verdict(&self) -> Verdict {
        Verdict {
            state: self.health.state,
            cause: self.health.cause.clone(),
        }
    }

    fn since(&self) -> Timestamp {
        self.health.since
    }

    fn told(&self) -> bool {
        self.told
    }

    fn event(&self) -> ServiceEvent {
        ServiceEvent::ComponentChanged {
            health: self.health.clone(),
        }
    }

    fn title(&self) -> String {
        match &self.health.component {
            Component::Host { name } => format!("host {name}"),
            Component::Kafka => "Kafka".to_owned(),
            Component::Mongodb => "MongoDB".to_owned(),
        }
    }
}

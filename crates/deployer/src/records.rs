//! What the deployer keeps: one document per version, one per instance.

use common::manifest::Manifest;
use common::messages::application::BundleRef;
use common::messages::binding::Binding;
use common::messages::instance::Instance;
use common::{ApplicationId, Timestamp, VersionId};
use runtime::Entity;
use serde::{Deserialize, Serialize};

/// A version and its image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct VersionRecord {
    pub(crate) id: VersionId,
    pub(crate) application: ApplicationId,
    pub(crate) number: String,
    pub(crate) manifest: Manifest,
    pub(crate) bundle: BundleRef,
    pub(crate) build: Build,
}

/// How far an image is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Build {
    /// It is to be built.
    Wanted {
        /// Tries that were begun; each numbers its log lines from its own base.
        attempt: u32,
        /// Not before then; set after a failure that passes.
        not_before: Option<Timestamp>,
    },
    /// It is in the registry.
    Ready { image: String },
    /// It can not be built.
    Failed { reason: String },
    /// The catalogue has the version no more: when nothing runs of it, its image is removed, then this record.
    Discarded { image: Option<String> },
}

impl Entity for VersionRecord {
    const COLLECTION: &'static str = "deployer_versions";
    const INDEXES: &'static [&'static str] = &["build", "application"];

    fn index(&self) -> Vec<(&'static str, String)> {
        let build = match self.build {
            Build::Wanted { .. } => "wanted",
            Build::Ready { .. } => "ready",
            Build::Failed { .. } => "failed",
            Build::Discarded { .. } => "discarded",
        };
        vec![
            ("build", build.to_owned()),
            ("application", self.application.to_string()),
        ]
    }
}

/// An instance with all that decides its state. A binding may come before the start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct InstanceRecord {
    /// The instance, once its start was asked for.
    pub(crate) instance: Option<Instance>,
    /// The newest binding.
    pub(crate) binding: Option<Binding>,
    /// Set when it is to end.
    pub(crate) stop: Option<Stop>,
    /// The image it was launched with; set before its Swarm service is asked for, so that one may exist whenever this is set.
    pub(crate) image: Option<String>,
    /// Unexpected ends.
    pub(crate) ends: Ends,
    /// Whether nothing of it is left in the Engine after its end.
    pub(crate) cleaned: bool,
}

/// A wish to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stop {
    /// Who or what asked, in words.
    pub(crate) why: String,
    /// When.
    pub(crate) at: Timestamp,
}

/// Unexpected ends of containers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ends {
    /// Tasks whose end was counted, newest last.
    pub(crate) counted: Vec<String>,
    /// Ends in a row without a stable run between them.
    pub(crate) streak: u32,
    /// The newest.
    pub(crate) last: Option<End>,
    /// Nothing runs until then.
    pub(crate) hold_until: Option<Timestamp>,
}

/// One unexpected end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) at: Timestamp,
    pub(crate) why: String,
}

impl InstanceRecord {
    /// Whether the executor has to look at it.
    pub(crate) fn is_live(&self) -> bool {
        self.instance.is_some() && !self.cleaned
    }
}

impl Entity for InstanceRecord {
    const COLLECTION: &'static str = "deployer_instances";
    const INDEXES: &'static [&'static str] = &["live"];

    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("live", if self.is_live() { "yes" } else { "no" }.to_owned())]
    }
}

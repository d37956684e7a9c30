//! Where instances serve their pages, in memory, from `instance.events`.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use common::messages::instance::{Endpoint, Instance, InstanceEvent, InstanceState};
use common::{InstanceId, Timestamp};
use runtime::TailItem;
use runtime::health::Part;
use runtime::kafka::Tail;

use super::keys::PageKeys;

/// What the proxy needs to know of an instance.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    title: String,
    version: u64,
    state: InstanceState,
    page: bool,
    endpoints: Arc<[Endpoint]>,
}

/// How an instance's pages stand.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    /// They are served there.
    Serving(Arc<[Endpoint]>),
    /// They will be.
    NotYet {
        /// The application.
        title: String,
        /// What it waits for.
        why: String,
    },
    /// The application has none.
    NoPage {
        /// The application.
        title: String,
    },
    /// The instance is over.
    Ended {
        /// The application.
        title: String,
    },
    /// Nothing is known (yet).
    Unknown,
}

/// The instances.
#[derive(Debug, Default)]
pub(super) struct View(RwLock<HashMap<InstanceId, Seen>>);

impl View {
    /// Takes a change in; an older one than what is known is ignored. Returns whether the instance is over.
    pub(super) fn change(&self, instance: &Instance) -> bool {
        let manifest = &instance.spec.version.manifest;
        let seen = Seen {
            title: manifest.title.clone(),
            version: instance.version,
            state: instance.state.clone(),
            page: manifest.page.is_some(),
            endpoints: instance.endpoints.as_slice().into(),
        };
        let mut instances = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = instances
            .get(&instance.id)
            .is_some_and(|known| known.version >= seen.version);
        if !known {
            instances.insert(instance.id, seen);
        }
        instance.state.is_final()
    }

    pub(super) fn forget(&self, instance: InstanceId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&instance);
    }

    /// Whether an instance is there and not over.
    pub(super) fn lives(&self, instance: InstanceId) -> bool {
        let instances = self.0.read().unwrap_or_else(PoisonError::into_inner);
        instances.get(&instance).is_some_and(|seen| !seen.state.is_final())
    }

    pub(super) fn standing(&self, instance: InstanceId) -> Standing {
        let instances = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(seen) = instances.get(&instance) else {
            return Standing::Unknown;
        };
        let title = seen.title.clone();
        if seen.state.is_final() {
            Standing::Ended { title }
        } else if !seen.page {
            Standing::NoPage { title }
        } else if seen.endpoints.is_empty() {
            Standing::NotYet {
                title,
                why: why(&seen.state),
            }
        } else {
            Standing::Serving(seen.endpoints.clone())
        }
    }
}

fn why(state: &InstanceState) -> String {
    match state {
        InstanceState::Requested => "It was asked for and will start in a moment.".to_owned(),
        InstanceState::Waiting { why, .. } => format!("It can not start yet: {why}."),
        InstanceState::Starting => "It is starting.".to_owned(),
        InstanceState::Running => "It runs, but its pages do not answer yet.".to_owned(),
        InstanceState::Failing { why, .. } => format!("It ended unexpectedly ({why}) and is being started again."),
        InstanceState::Stopping { .. } => "It is being stopped.".to_owned(),
        InstanceState::Succeeded | InstanceState::Failed { .. } | InstanceState::Stopped { .. } => {
            "It has ended.".to_owned()
        }
    }
}

/// Follows `instance.events` and revokes the keys of instances that end.
pub(super) async fn follow(
    (mut tail, opened): (Tail<InstanceEvent>, Timestamp),
    view: Arc<View>,
    keys: PageKeys,
    part: Part,
) -> anyhow::Result<()> {
    let mut caught_up = false;
    loop {
        match tail.next().await? {
            TailItem::Message(placed) => match placed.envelope.message {
                InstanceEvent::Changed { instance } => {
                    // Before the end of what was there, one sweep revokes what many single looks would.
                    if view.change(&instance) && caught_up {
                        revoke(&keys, instance.id).await;
                    }
                }
                InstanceEvent::Deleted { id } => forget(&view, &keys, id, caught_up).await,
            },
            TailItem::Tombstone { key, .. } => {
                if let Ok(id) = key.parse() {
                    view.forget(id);
                }
            }
            TailItem::Skipped { .. } => {}
            TailItem::CaughtUp => {
                caught_up = true;
                part.ready();
                if let Err(error) = keys.revoke_others(opened, |instance| view.lives(instance)).await {
                    tracing::debug!(%error, "keys of ended instances stay for now; they lead nowhere");
                }
            }
        }
    }
}

async fn forget(view: &View, keys: &PageKeys, instance: InstanceId, caught_up: bool) {
    view.forget(instance);
    if caught_up {
        revoke(keys, instance).await;
    }
}

/// A key of an ended instance leads nowhere, so that a revocation which fails can wait for the next start.
async fn revoke(keys: &PageKeys, instance: InstanceId) {
    let limit = Duration::from_secs(5);
    match tokio::time::timeout(limit, keys.revoke_instance(instance)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, %instance, "keys of an ended instance stay for now"),
        Err(_) => tracing::debug!(%instance, "keys of an ended instance stay for now"),
    }
}

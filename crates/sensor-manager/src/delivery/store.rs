//! Where leases and checkpoints lie.

use common::{InstanceId, Timestamp};
use runtime::{Applied, ApplyError, Change, Entities, Entity, StoreError};
use serde::{Deserialize, Serialize};

use super::Position;
use super::dedup::Windows;
use super::lease::{self, Lease, Wish};
use super::stream::Mark;

/// Position and state of an instance, always written together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The instance.
    pub instance: InstanceId,
    /// The shard.
    pub shard: u32,
    /// The newest session that was opened: older ones write no more.
    pub session: u64,
    /// What is consumed.
    pub position: Position,
    /// What was seen.
    pub windows: Windows,
    /// What the application remembers, as JSON text.
    pub state: Option<String>,
    /// When it was saved by the application.
    pub saved: Option<Timestamp>,
}

impl Entity for Checkpoint {
    const COLLECTION: &'static str = "sensor_manager_checkpoints";
    const INDEXES: &'static [&'static str] = &["instance"];
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("instance", self.instance.to_string())]
    }
}

impl Checkpoint {
    /// Returns where to go on.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            position: self.position.clone(),
            windows: self.windows.clone(),
        }
    }
}

/// A newer session exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a newer session exists")]
pub struct Fenced;

/// Names a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The instance.
    pub instance: InstanceId,
    /// The shard.
    pub shard: u32,
    /// Its number.
    pub number: u64,
}

impl Session {
    fn key(self) -> String {
        key(self.instance, self.shard)
    }
}

fn key(instance: InstanceId, shard: u32) -> String {
    format!("{instance}/{shard}")
}

/// Leases and checkpoints in the store.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// Leases.
    pub leases: Entities<Lease>,
    /// Checkpoints.
    pub checkpoints: Entities<Checkpoint>,
}

impl Sessions {
    /// Takes the lease; `None` while another holds it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take(&self, wish: &Wish, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let decide = |current: Option<&Lease>, _| lease::take(current, wish, now).ok_or(Fenced).map(put);
        let taken = self.leases.apply(&key(wish.instance, wish.shard), None, decide).await;
        Ok(match taken {
            Ok(Applied::Changed(lease)) => Some(Session {
                instance: wish.instance,
                shard: wish.shard,
                number: lease.entity.session,
            }),
            Ok(_) | Err(ApplyError::Refused(Fenced)) => None,
            Err(ApplyError::Store(error)) => return Err(error),
        })
    }

    /// Renews the lease; `false` when the session is over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew(&self, session: Session, now: Timestamp) -> Result<bool, StoreError> {
        let decide = |current: Option<&Lease>, _| lease::renew(current, session.number, now).ok_or(Fenced).map(put);
        passed(self.leases.apply(&session.key(), None, decide).await)
    }

    /// Frees the lease, if it is still this session's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn free(&self, session: Session, now: Timestamp) -> Result<bool, StoreError> {
        let decide = |current: Option<&Lease>, _| lease::free(current, session.number, now).ok_or(Fenced).map(put);
        passed(self.leases.apply(&session.key(), None, decide).await)
    }

    /// Locks out older sessions and returns the checkpoint to go on from; the first begins at `start`.
    ///
    /// # Errors
    /// [`Fenced`] when a newer session has come already, or the store fails.
    pub async fn open(&self, session: Session, start: &Position) -> Result<Checkpoint, ApplyError<Fenced>> {
        let decide = |current: Option<&Checkpoint>, _| {
            let entity = match current {
                Some(current) if current.session > session.number => return Err(Fenced),
                Some(current) => Checkpoint {
                    session: session.number,
                    ..current.clone()
                },
                None => Checkpoint {
                    instance: session.instance,
                    shard: session.shard,
                    session: session.number,
                    position: start.clone(),
                    windows: Windows::default(),
                    state: None,
                    saved: None,
                },
            };
            Ok(put(entity))
        };
        match self.checkpoints.apply(&session.key(), None, decide).await? {
            Applied::Changed(stored) => Ok(stored.entity),
            Applied::Deleted | Applied::Kept(_) | Applied::Duplicate(_) => Err(ApplyError::Refused(Fenced)),
        }
    }

    /// Writes position and state in one; `false` when the session is over.
    ///
    /// # Errors
    /// When the store fails; whether it wrote is then unknown, and writing the same again is harmless.
    pub async fn save(
        &self,
        session: Session,
        mark: &Mark,
        state: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let decide = |current: Option<&Checkpoint>, _| {
            let current = current
                .filter(|current| current.session == session.number)
                .ok_or(Fenced)?;
            Ok(put(Checkpoint {
                position: mark.position.clone(),
                windows: mark.windows.clone(),
                state: state.map(ToOwned::to_owned),
                saved: Some(now),
                ..current.clone()
            }))
        };
        passed(self.checkpoints.apply(&session.key(), None, decide).await)
    }

    /// Forgets an instance.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget(&self, instance: InstanceId) -> Result<(), StoreError> {
        let instance = instance.to_string();
        for lease in self.leases.list(&[("instance", &instance)]).await? {
            passed(self.leases.apply(&lease.id, None, |_, _| Ok(gone())).await)?;
        }
        for checkpoint in self.checkpoints.list(&[("instance", &instance)]).await? {
            passed(self.checkpoints.apply(&checkpoint.id, None, |_, _| Ok(gone())).await)?;
        }
        Ok(())
    }
}

fn put<T>(entity: T) -> Change<T> {
    Change::Put {
        entity,
        records: Vec::new(),
    }
}

fn gone<T>() -> Change<T> {
    Change::Delete { records: Vec::new() }
}

fn passed<T>(applied: Result<Applied<T>, ApplyError<Fenced>>) -> Result<bool, StoreError> {
    match applied {
        Ok(_) => Ok(true),
        Err(ApplyError::Refused(Fenced)) => Ok(false),
        Err(ApplyError::Store(error)) => Err(error),
    }
}

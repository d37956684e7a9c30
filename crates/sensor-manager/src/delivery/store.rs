//! Where leases and checkpoints lie.

use std::collections::BTreeSet;

use common::{InstanceId, Timestamp};
use runtime::{Applied, ApplyError, Change, Entities, Entity, StoreError};
use serde::{Deserialize, Serialize};

use super::Position;
use super::carry::{self, Lineage};
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
    /// The partitions in which that was looked for.
    #[serde(default)]
    pub read: BTreeSet<i32>,
    /// What was seen.
    pub windows: Windows,
    /// What the application remembers, as JSON text.
    pub state: Option<String>,
    /// When it was saved by the application.
    pub saved: Option<Timestamp>,
    /// Place in the line of instances of which one begins with the checkpoint of the other; none: not in it (any more).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// Whether it is still what another instance saved.
    #[serde(default)]
    pub carried: bool,
}

impl Entity for Checkpoint {
    const COLLECTION: &'static str = "sensor_manager_checkpoints";
    const INDEXES: &'static [&'static str] = &["instance", "schedule"];
    fn index(&self) -> Vec<(&'static str, String)> {
        let schedule = self.lineage.map(|lineage| ("schedule", lineage.schedule.to_string()));
        [("instance", self.instance.to_string())]
            .into_iter()
            .chain(schedule)
            .collect()
    }
    /// Everything in new topics is still to be read; repeats are known by their numbers.
    fn beside_new_topics(&self) -> Option<Self> {
        Some(Self {
            // Whoever still acts by the old ones writes no more.
            session: self.session + 1,
            position: self.read.iter().map(|partition| (*partition, 0)).collect(),
            ..self.clone()
        })
    }
}

impl Checkpoint {
    /// Returns where to go on.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            position: self.position.clone(),
            read: self.read.clone(),
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

    /// Locks out older sessions and returns the checkpoint to go on from; the first begins with what its line carries, or at `start`.
    ///
    /// # Errors
    /// [`Fenced`] when a newer session has come already, or the store fails.
    pub async fn open(
        &self,
        session: Session,
        start: &Position,
        lineage: Option<Lineage>,
    ) -> Result<Checkpoint, ApplyError<Fenced>> {
        let relatives = self.relatives(session, lineage).await?;
        let decide = |current: Option<&Checkpoint>, _| {
            let entity = match current {
                Some(current) if current.session > session.number => return Err(Fenced),
                Some(current) => Checkpoint {
                    session: session.number,
                    ..current.clone()
                },
                None => carry::first(session, start, lineage, &relatives),
            };
            Ok(put(entity))
        };
        let opened = match self.checkpoints.apply(&session.key(), None, decide).await? {
            Applied::Changed(stored) => stored.entity,
            Applied::Deleted | Applied::Kept(_) | Applied::Duplicate(_) => return Err(ApplyError::Refused(Fenced)),
        };
        // Now the line goes on here; when this is cut short, the next session of it does the same.
        for earlier in relatives {
            if lineage.is_some_and(|lineage| lineage.follows(&earlier)) {
                self.leave_line(&earlier).await?;
            }
        }
        Ok(opened)
    }

    async fn relatives(&self, session: Session, lineage: Option<Lineage>) -> Result<Vec<Checkpoint>, StoreError> {
        let Some(lineage) = lineage else {
            return Ok(Vec::new());
        };
        let schedule = lineage.schedule.to_string();
        let found = self.checkpoints.list(&[("schedule", &schedule)]).await?;
        let of_shard = |checkpoint: &Checkpoint| checkpoint.shard == session.shard;
        Ok(found.into_iter().map(|stored| stored.entity).filter(of_shard).collect())
    }

    async fn leave_line(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let decide = |current: Option<&Checkpoint>, _| {
            Ok(match current {
                Some(current) if current.lineage.is_some() => put(Checkpoint {
                    lineage: None,
                    ..current.clone()
                }),
                _ => Change::Keep,
            })
        };
        let key = key(checkpoint.instance, checkpoint.shard);
        passed(self.checkpoints.apply(&key, None, decide).await).map(drop)
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
                read: mark.read.clone(),
                windows: mark.windows.clone(),
                state: state.map(ToOwned::to_owned),
                saved: Some(now),
                carried: false,
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

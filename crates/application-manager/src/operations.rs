//! Work that outlives the request that began it: who asked for what, and how it ended.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use common::messages::operation::{OperationEvent, Refusal};
use common::{OperationId, Timestamp, UserId};
use runtime::{Applied, ApplyError, Change, Entities, Entity, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// How long an operation can be looked up.
const KEPT_MILLIS: i64 = 24 * 3_600_000;

/// An operation as it was begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// Identity.
    pub(crate) id: OperationId,
    /// Who began it.
    pub(crate) user: UserId,
    /// What was asked for, in words.
    pub(crate) what: String,
    /// Address of what it is about.
    pub(crate) link: String,
    /// When.
    pub(crate) begun: Timestamp,
}

impl Entity for Operation {
    const COLLECTION: &'static str = "application_manager_operations";
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Not yet.
    Pending,
    /// It was carried out.
    Done {
        /// Version of the entity afterwards.
        version: Option<u64>,
    },
    /// It can not be carried out.
    Refused {
        /// Kind of refusal.
        reason: Refusal,
        /// For the person.
        detail: String,
    },
}

/// Operations of the last day.
#[derive(Debug)]
pub(crate) struct Operations {
    begun: Entities<Operation>,
    ended: Mutex<HashMap<OperationId, (Outcome, Timestamp)>>,
    changes: watch::Sender<u64>,
}

impl Operations {
    /// Keeps begun operations in a store.
    pub(crate) fn new(begun: Entities<Operation>) -> Self {
        Self {
            begun,
            ended: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Writes down that an operation begins. Returns `false` when it had begun before: the request is a retry.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn begin(&self, operation: &Operation) -> Result<bool, StoreError> {
        let applied = self
            .begun
            .apply(&operation.id.to_string(), None, |current, _| {
                Ok::<_, StoreError>(match current {
                    Some(_) => Change::Keep,
                    None => Change::Put {
                        entity: operation.clone(),
                        records: Vec::new(),
                    },
                })
            })
            .await
            .map_err(|error| match error {
                ApplyError::Refused(error) | ApplyError::Store(error) => error,
            })?;
        Ok(matches!(applied, Applied::Changed(_)))
    }

    /// Takes an answer. Returns which operation it is of.
    pub(crate) fn fold(&self, event: &OperationEvent, at: Timestamp) -> OperationId {
        let (id, outcome) = match event {
            OperationEvent::Done { id, version } => (*id, Outcome::Done { version: *version }),
            OperationEvent::Refused { id, reason, detail } => (
                *id,
                Outcome::Refused {
                    reason: *reason,
                    detail: detail.clone(),
                },
            ),
        };
        // The first answer stands: a repeated command may be refused because the first one was carried out.
        self.lock().entry(id).or_insert((outcome, at));
        self.changes.send_modify(|count| *count += 1);
        id
    }

    /// Returns how an operation ended.
    pub(crate) fn outcome(&self, id: OperationId) -> Outcome {
        self.lock()
            .get(&id)
            .map_or(Outcome::Pending, |(outcome, _)| outcome.clone())
    }

    /// Waits for the end of an operation; [`Outcome::Pending`] when it does not come in time.
    pub(crate) async fn wait(&self, id: OperationId, patience: Duration) -> Outcome {
        let mut changes = self.changes.subscribe();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                let outcome = self.outcome(id);
                if outcome != Outcome::Pending || changes.changed().await.is_err() {
                    return outcome;
                }
            }
        };
        tokio::time::timeout(patience, waiting)
            .await
            .unwrap_or(Outcome::Pending)
    }

    /// Returns an operation and how it ended.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn get(&self, id: OperationId) -> Result<Option<(Operation, Outcome)>, StoreError> {
        let begun = self.begun.get(&id.to_string()).await?;
        Ok(begun.map(|stored| (stored.entity, self.outcome(id))))
    }

    /// Forgets, in this process, how operations ended more than a day ago.
    pub(crate) fn forget_outcomes(&self, now: Timestamp) {
        self.lock().retain(|_, (_, at)| now.millis_since(*at) < KEPT_MILLIS);
    }

    /// Forgets operations that are older than a day.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn forget_old(&self, now: Timestamp) -> Result<(), StoreError> {
        self.forget_outcomes(now);
        for stored in self.begun.list(&[]).await? {
            if now.millis_since(stored.entity.begun) > KEPT_MILLIS {
                self.begun
                    .apply(&stored.id, None, |_, _| {
                        Ok::<_, StoreError>(Change::Delete { records: Vec::new() })
                    })
                    .await
                    .map_err(|error| match error {
                        ApplyError::Refused(error) | ApplyError::Store(error) => error,
                    })?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<OperationId, (Outcome, Timestamp)>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

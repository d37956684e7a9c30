//! Slow work and what time brings: deliveries, expiry, forgetting. On timers, without input, idempotent.

use std::sync::Arc;
use std::time::Duration;

use common::Timestamp;
use common::messages::action::{Channel, Notification};
use futures_util::StreamExt as _;
use runtime::{Applied, ApplyError, Bus, BusError, Change, Duty, Entities, StoreError};
use tokio::sync::Notify;

use crate::announce::{self, Announcer, Cause};
use crate::channels::Channels;
use crate::store::{Asked, Told, yes_or_no};
use crate::storm::{self, Storm};
use crate::view::View;
use crate::{command, notification};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time between two looks for what is old.
const FORGET_INTERVAL: Duration = Duration::from_secs(600);
/// Sends at once.
const CONCURRENCY: usize = 8;

/// Makes what was recorded so.
#[derive(Debug)]
pub struct Reconciler {
    /// What the tails tell.
    pub view: Arc<View>,
    /// Publishes.
    pub bus: Bus,
    /// Commands.
    pub commands: Entities<Asked>,
    /// Notifications.
    pub notifications: Entities<Told>,
    /// The ways out.
    pub channels: Arc<Channels>,
    /// Counts notifications.
    pub storm: Arc<Storm>,
    /// Hours that actions are kept.
    pub history_hours: u64,
}

impl Reconciler {
    /// Tries every delivery that is due.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn deliver(&self, now: Timestamp) -> Result<(), StoreError> {
        if !self.view.complete() {
            return Ok(());
        }
        let waiting = self.notifications.list(&[("waits", yes_or_no(true))]).await?;
        let due = waiting.iter().flat_map(|told| {
            let notification = &told.entity.notification;
            notification::due(notification, now)
                .into_iter()
                .map(move |channel| (notification, channel))
        });
        futures_util::stream::iter(due)
            .for_each_concurrent(CONCURRENCY, |(notification, channel)| async move {
                if let Err(error) = self.try_once(notification, channel, now).await {
                    tracing::warn!(id = %notification.id, %error, "a delivery waits");
                }
            })
            .await;
        Ok(())
    }

    async fn try_once(&self, notification: &Notification, channel: Channel, now: Timestamp) -> Result<(), StoreError> {
        let claimed = self
            .change(notification, false, |current| {
                // The list may be long: a claim counts from when it is made.
                notification::claim(current, channel, now.max(Timestamp::now()))
            })
            .await?;
        let Some(claimed) = claimed else { return Ok(()) };
        let owner = self.view.read().users.get(&claimed.owner).cloned();
        let outcome = self.channels.send(channel, &claimed, owner.as_ref()).await;
        let name = notification::name(channel);
        match &outcome {
            Ok(()) => {
                metrics::counter!("action_deliveries_total", "channel" => name, "outcome" => "delivered").increment(1)
            }
            Err(failure) => {
                metrics::counter!("action_deliveries_total", "channel" => name, "outcome" => "failed").increment(1);
                tracing::info!(id = %claimed.id, channel = name, why = failure.why, "a delivery failed");
            }
        }
        let ended = Timestamp::now();
        self.change(&claimed, true, |current| {
            notification::after_try(current, channel, &outcome, ended)
        })
        .await?;
        Ok(())
    }

    /// Changes a notification; returns it when it was changed.
    async fn change(
        &self,
        notification: &Notification,
        say: bool,
        decide: impl Fn(&Notification) -> Option<Notification> + Send + Sync,
    ) -> Result<Option<Notification>, StoreError> {
        let cause = Cause::default();
        let announcer = Announcer {
            source: self.bus.source(),
            cause: &cause,
            now: Timestamp::now(),
        };
        let applied = self
            .notifications
            .apply(&notification.id.to_string(), None, |current, version| {
                let Some(mut next) = current.and_then(|told| decide(&told.notification)) else {
                    return Ok(Change::Keep);
                };
                next.version = version;
                let records = if say {
                    vec![announcer.notification(&next)?]
                } else {
                    Vec::new()
                };
                Ok::<_, BusError>(Change::Put {
                    entity: Told { notification: next },
                    records,
                })
            })
            .await;
        changed(applied).map(|told| told.map(|told| told.notification))
    }

    /// Ends every command whose time has run out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn expire(&self, now: Timestamp) -> Result<(), StoreError> {
        let cause = Cause::default();
        let announcer = Announcer {
            source: self.bus.source(),
            cause: &cause,
            now,
        };
        for open in self.commands.list(&[("open", yes_or_no(true))]).await? {
            if open.entity.command.expires > now {
                continue;
            }
            let applied = self
                .commands
                .apply(&open.id, None, |current, version| {
                    let Some(mut next) = current.and_then(|asked| command::after_expiry(&asked.command, now)) else {
                        return Ok(Change::Keep);
                    };
                    next.version = version;
                    let records = announcer.command(&next, command::to_device(&next))?;
                    Ok::<_, BusError>(Change::Put {
                        entity: Asked { command: next },
                        records,
                    })
                })
                .await;
            if changed(applied)?.is_some() {
                metrics::counter!("action_commands_total", "state" => "expired").increment(1);
            }
        }
        Ok(())
    }

    /// Says how many notifications were held back in minutes that are over.
    ///
    /// # Errors
    /// When the store fails: the number stays unsaid, that something was held back was said.
    pub async fn count_held(&self, now: Timestamp) -> Result<(), StoreError> {
        for ended in self.storm.ended(now) {
            let id = storm::summary_id(ended.instance, ended.minute).to_string();
            let text = storm::summary_text(ended.minute, Some(ended.held));
            if let Some(told) = self.notifications.get(&id).await? {
                self.change(&told.entity.notification, true, |current| {
                    Some(Notification {
                        text: text.clone(),
                        ..current.clone()
                    })
                })
                .await?;
            }
        }
        Ok(())
    }

    /// Forgets what is older than history.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget(&self, now: Timestamp) -> Result<(), StoreError> {
        let hours = i64::try_from(self.history_hours).unwrap_or(i64::MAX);
        let before = now.plus_millis(hours.saturating_mul(-3_600_000));
        for told in self.notifications.list(&[("waits", yes_or_no(false))]).await? {
            let notification = &told.entity.notification;
            if notification.at < before {
                let records = vec![announce::forgotten(notification.id)];
                let delete = |_: Option<&Told>, _| {
                    Ok::<_, BusError>(Change::Delete {
                        records: records.clone(),
                    })
                };
                changed(self.notifications.apply(&told.id, None, delete).await)?;
            }
        }
        for asked in self.commands.list(&[("open", yes_or_no(false))]).await? {
            let command = &asked.entity.command;
            if command.since < before {
                let records = vec![announce::forgotten(command.id)];
                let delete = |_: Option<&Asked>, _| {
                    Ok::<_, BusError>(Change::Delete {
                        records: records.clone(),
                    })
                };
                changed(self.commands.apply(&asked.id, None, delete).await)?;
            }
        }
        Ok(())
    }
}

/// Returns the entity when it was changed. What can not be encoded is logged: it will not be encoded the next time either.
fn changed<T>(applied: Result<Applied<T>, ApplyError<BusError>>) -> Result<Option<T>, StoreError> {
    match applied {
        Ok(Applied::Changed(stored)) => Ok(Some(stored.entity)),
        Ok(_) => Ok(None),
        Err(ApplyError::Store(error)) => Err(error),
        Err(ApplyError::Refused(error)) => {
            tracing::error!(%error, "an action can not be published");
            Ok(None)
        }
    }
}

/// Delivers until the process ends; `wake` says that there is something new.
///
/// # Errors
/// Never.
pub async fn deliveries(reconciler: Arc<Reconciler>, duty: Duty, wake: Arc<Notify>) -> anyhow::Result<()> {
    loop {
        duty.taken().await;
        if let Err(error) = reconciler.deliver(Timestamp::now()).await {
            tracing::warn!(%error, "deliveries wait");
        }
        tokio::select! {
            () = wake.notified() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// Ends commands and counts what was held back until the process ends.
///
/// # Errors
/// Never.
pub async fn expiry(reconciler: Arc<Reconciler>, duty: Duty) -> anyhow::Result<()> {
    loop {
        let now = Timestamp::now();
        if duty.held()
            && let Err(error) = reconciler.expire(now).await
        {
            tracing::warn!(%error, "expiry waits");
        }
        // What this copy has held back, only it knows.
        if let Err(error) = reconciler.count_held(now).await {
            tracing::warn!(%error, "the count of what was held back waits");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Forgets old actions until the process ends.
///
/// # Errors
/// Never.
pub async fn forgetting(reconciler: Arc<Reconciler>, duty: Duty) -> anyhow::Result<()> {
    loop {
        duty.taken().await;
        if let Err(error) = reconciler.forget(Timestamp::now()).await {
            tracing::warn!(%error, "forgetting waits");
        }
        tokio::time::sleep(FORGET_INTERVAL).await;
    }
}

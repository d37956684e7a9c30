//! `action.requests`: what applications and people ask for.

use std::sync::Arc;

use async_trait::async_trait;
use common::messages::action::{ActionRequest, Command, CommandState, Notification, Origin, Severity};
use common::messages::operation::{OperationEvent, Refusal};
use common::messages::user::Role;
use common::{ActionId, Envelope, InstanceId, Timestamp};
use runtime::{Applied, ApplyError, Bus, BusError, Change, Entities, HandleError, Handler};
use tokio::sync::Notify;

use crate::announce::{Announcer, Cause};
use crate::channels::Channels;
use crate::store::{self, Asked, Told};
use crate::storm::{self, Admission, Storm};
use crate::view::{InstanceFacts, View};
use crate::{command, notification, request};

/// How long a request waits for news of its instance, in milliseconds; the view is behind by less.
const PATIENCE_MILLIS: i64 = 30_000;

/// Records what is asked for; others carry it out.
#[derive(Debug)]
pub struct Requests {
    /// What the tails tell.
    pub view: Arc<View>,
    /// Publishes.
    pub bus: Bus,
    /// Commands.
    pub commands: Entities<Asked>,
    /// Notifications.
    pub notifications: Entities<Told>,
    /// Which channels there are.
    pub channels: Arc<Channels>,
    /// Counts notifications.
    pub storm: Arc<Storm>,
    /// Wakes who sends them.
    pub wake: Arc<Notify>,
}

/// What is said to a person.
struct Words {
    id: ActionId,
    instance: InstanceId,
    title: String,
    text: String,
    severity: Severity,
    at: Timestamp,
}

impl Requests {
    /// Returns whose instance it is; waits for the view where it may be behind.
    fn facts(&self, envelope: &Envelope<ActionRequest>, instance: InstanceId) -> Result<InstanceFacts, HandleError> {
        if let Some(facts) = self.view.read().instances.get(&instance) {
            return Ok(facts.clone());
        }
        let waited = Timestamp::now().millis_since(envelope.time);
        if self.view.complete() && waited > PATIENCE_MILLIS {
            return Err(HandleError::Reject(format!("instance {instance} is not known")));
        }
        Err(HandleError::Retry(
            BusError::Read(format!("nothing was heard of instance {instance} yet")).into(),
        ))
    }

    async fn notify(&self, envelope: &Envelope<ActionRequest>, words: Words) -> Result<(), HandleError> {
        let facts = self.facts(envelope, words.instance)?;
        // A repeat after a restart must not count twice.
        if self.notifications.get(&words.id.to_string()).await?.is_some() {
            return self.tell(envelope, words, &facts).await;
        }
        let minute = storm::minute_of(words.at);
        let before = if self.storm.knows(words.instance, minute) {
            0
        } else {
            let index = store::minute(words.instance, minute);
            self.notifications.list(&[("minute", &index)]).await?.len()
        };
        match self.storm.admit(words.id, words.instance, minute, before) {
            Admission::Admitted => self.tell(envelope, words, &facts).await,
            Admission::Held { first } => {
                metrics::counter!("action_notifications_held_total").increment(1);
                if !first {
                    return Ok(());
                }
                let summary = Words {
                    id: storm::summary_id(words.instance, minute),
                    title: "Too many notifications".to_owned(),
                    text: storm::summary_text(minute, None),
                    severity: Severity::Warning,
                    ..words
                };
                self.tell(envelope, summary, &facts).await
            }
        }
    }

    /// Tells every admin. A storm is not held back here: the monitor says each thing once.
    async fn alert(
        &self,
        envelope: &Envelope<ActionRequest>,
        alert: ActionId,
        words: impl Fn(ActionId) -> Words,
    ) -> Result<(), HandleError> {
        if !self.view.complete() {
            return Err(HandleError::Retry(
                BusError::Read("the users are not known yet".to_owned()).into(),
            ));
        }
        let users = &self.view.read().users.clone();
        let admins = users
            .values()
            .filter(|user| !user.disabled && user.roles.contains(&Role::Admin));
        for admin in admins {
            let facts = InstanceFacts {
                owner: admin.id,
                application: Notification::PLATFORM.to_owned(),
                over: false,
                version: 0,
            };
            let id = ActionId::derive(&[&alert.to_string(), &admin.id.to_string()]);
            self.tell(envelope, words(id), &facts).await?;
        }
        Ok(())
    }

    async fn tell(
        &self,
        envelope: &Envelope<ActionRequest>,
        words: Words,
        facts: &InstanceFacts,
    ) -> Result<(), HandleError> {
        let now = Timestamp::now();
        let deliveries =
            notification::deliveries(self.view.read().users.get(&facts.owner), self.channels.has_mail(), now);
        let cause = Cause::from(envelope);
        let announcer = Announcer {
            source: self.bus.source(),
            cause: &cause,
            now,
        };
        let applied = self
            .notifications
            .apply(&words.id.to_string(), Some(envelope.id), |current, version| {
                if current.is_some() {
                    return Ok(Change::Keep);
                }
                let notification = Notification {
                    id: words.id,
                    instance: words.instance,
                    owner: facts.owner,
                    application: facts.application.clone(),
                    title: words.title.clone(),
                    text: words.text.clone(),
                    severity: words.severity,
                    at: words.at,
                    deliveries: deliveries.clone(),
                    version,
                };
                let records = vec![announcer.notification(&notification)?];
                Ok::<_, BusError>(Change::Put {
                    entity: Told { notification },
                    records,
                })
            })
            .await;
        match applied {
            Ok(Applied::Changed(_)) => {
                self.wake.notify_one();
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(ApplyError::Refused(error)) => Err(error.into()),
            Err(ApplyError::Store(error)) => Err(error.into()),
        }
    }

    /// Says whether the device can do it; arguments with defaults filled in.
    fn check(&self, command: &mut Command) -> Result<(), (Refusal, String)> {
        let known = self.view.read();
        let type_name = known
            .devices
            .get(&command.device)
            .ok_or_else(|| (Refusal::NotFound, "the device is not registered".to_owned()))?;
        command.arguments = request::arguments(&known, type_name, &command.command, &command.arguments)
            .map_err(|detail| (Refusal::Invalid, detail))?;
        Ok(())
    }

    async fn command(&self, envelope: &Envelope<ActionRequest>, mut command: Command) -> Result<(), HandleError> {
        if !self.view.complete() {
            return Err(HandleError::Retry(
                BusError::Read("the registry is not known yet".to_owned()).into(),
            ));
        }
        let now = Timestamp::now();
        let existing = self.commands.get(&command.id.to_string()).await?.is_some();
        match (self.check(&mut command), &command.origin) {
            _ if existing => {}
            (Ok(()), _) => {}
            (Err((reason, detail)), Origin::User { operation, .. }) => {
                let refused = OperationEvent::Refused {
                    id: *operation,
                    reason,
                    detail,
                };
                let record = self.bus.follow(envelope, 0, now, refused)?;
                return Ok(self.bus.send(&[record]).await?);
            }
            // It could when the application asked: say what has become of it.
            (Err((_, why)), Origin::Instance { .. }) => command.state = CommandState::Failed { why },
        }
        if command.expires <= now && !command::is_final(&command.state) {
            command.state = CommandState::Expired;
        }
        self.ask(envelope, command, now).await
    }

    async fn ask(
        &self,
        envelope: &Envelope<ActionRequest>,
        command: Command,
        now: Timestamp,
    ) -> Result<(), HandleError> {
        let cause = Cause::from(envelope);
        let announcer = Announcer {
            source: self.bus.source(),
            cause: &cause,
            now,
        };
        let done = |version| match &command.origin {
            Origin::User { operation, .. } => {
                let done = OperationEvent::Done {
                    id: *operation,
                    version: Some(version),
                };
                self.bus.follow(envelope, 0, now, done).map(Some)
            }
            Origin::Instance { .. } => Ok(None),
        };
        let applied = self
            .commands
            .apply(&command.id.to_string(), Some(envelope.id), |current, version| {
                if current.is_some() {
                    return Ok(Change::Keep);
                }
                let command = Command {
                    version,
                    ..command.clone()
                };
                let to_device = command::to_device(&command).filter(|_| !command::is_final(&command.state));
                let mut records = announcer.command(&command, to_device)?;
                records.extend(done(version)?);
                Ok::<_, BusError>(Change::Put {
                    entity: Asked { command },
                    records,
                })
            })
            .await;
        match applied {
            Ok(Applied::Changed(stored)) => {
                metrics::counter!("action_commands_total", "state" => command::name(&stored.entity.command.state))
                    .increment(1);
                Ok(())
            }
            // The same command under another message (a retried POST): it is answered again.
            Ok(Applied::Kept(Some(stored))) => match done(stored.version)? {
                Some(record) => Ok(self.bus.send(&[record]).await?),
                None => Ok(()),
            },
            Ok(_) => Ok(()),
            Err(ApplyError::Refused(error)) => Err(error.into()),
            Err(ApplyError::Store(error)) => Err(error.into()),
        }
    }
}

#[async_trait]
impl Handler<ActionRequest> for Requests {
    async fn handle(&self, envelope: &Envelope<ActionRequest>) -> Result<(), HandleError> {
        match &envelope.message {
            ActionRequest::Notify {
                id,
                instance,
                title,
                text,
                severity,
                at,
            } => {
                let words = Words {
                    id: *id,
                    instance: *instance,
                    title: title.clone(),
                    text: text.clone(),
                    severity: *severity,
                    at: *at,
                };
                self.notify(envelope, words).await
            }
            ActionRequest::Alert {
                id,
                title,
                text,
                severity,
                at,
            } => {
                let words = |id| Words {
                    id,
                    instance: Notification::of_platform(),
                    title: title.clone(),
                    text: text.clone(),
                    severity: *severity,
                    at: *at,
                };
                self.alert(envelope, *id, words).await
            }
            ActionRequest::Command {
                id,
                origin,
                device,
                command,
                arguments,
                at,
                expires,
            } => {
                let command = Command {
                    id: *id,
                    origin: origin.clone(),
                    device: *device,
                    command: command.clone(),
                    arguments: arguments.clone(),
                    state: CommandState::Queued,
                    at: *at,
                    since: Timestamp::now(),
                    expires: *expires,
                    version: 0,
                };
                self.command(envelope, command).await
            }
        }
    }
}

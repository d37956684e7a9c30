//! The ways out of the platform: mail and webhook.

mod address;
mod mail;
mod webhook;

use common::messages::action::{Channel, Notification};
use common::messages::user::User;
use common::settings::Settings;

use self::mail::Mailer;
use self::webhook::Webhooks;
use crate::notification::Failure;

/// The channels of this installation.
#[derive(Debug)]
pub struct Channels {
    mailer: Option<Mailer>,
    webhooks: Webhooks,
}

impl Channels {
    /// Takes what the settings say.
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Self {
        Self {
            mailer: settings.smtp.as_ref().map(|smtp| Mailer::new(smtp, settings)),
            webhooks: Webhooks::new(settings.limits.webhook_private_addresses),
        }
    }

    /// Whether mail is configured.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        self.mailer.is_some()
    }

    /// Tries once to send a notification to its owner.
    ///
    /// # Errors
    /// Why it did not arrive.
    pub async fn send(
        &self,
        channel: Channel,
        notification: &Notification,
        owner: Option<&User>,
    ) -> Result<(), Failure> {
        match channel {
            Channel::Console => Ok(()),
            Channel::Mail => {
                let mailer = self
                    .mailer
                    .as_ref()
                    .ok_or_else(|| Failure::permanent("mail is not configured any more"))?;
                let to = owner
                    .and_then(|user| user.email.as_deref())
                    .ok_or_else(|| Failure::permanent("the user has no mail address any more"))?;
                mailer.send(notification, to).await
            }
            Channel::Webhook => {
                let url = owner
                    .and_then(|user| user.webhook.as_deref())
                    .ok_or_else(|| Failure::permanent("the user has no webhook any more"))?;
                self.webhooks.post(url, notification).await
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! Where a notification goes and when it is tried again. Pure.

use common::Timestamp;
use common::messages::action::{Channel, Delivery, DeliveryState, Notification};
use common::messages::user::User;

/// Tries on a channel before it is given up.
pub const ATTEMPTS: u32 = 5;
/// Time that one try may take, in milliseconds: nobody else tries before it is over.
pub const CLAIM_MILLIS: i64 = 60_000;
/// Waits after each failed try, in milliseconds.
const WAITS: [i64; 4] = [5_000, 30_000, 120_000, 600_000];

/// Returns where a notification for a user goes. The console has it as soon as it is said.
#[must_use]
pub fn deliveries(user: Option<&User>, mail: bool, now: Timestamp) -> Vec<Delivery> {
    let delivery = |channel, state| Delivery {
        channel,
        state,
        attempts: 0,
    };
    let mut deliveries = vec![delivery(Channel::Console, DeliveryState::Delivered { at: now })];
    let user = user.filter(|user| !user.disabled);
    let pending = DeliveryState::Pending { next_try: now };
    if mail && user.is_some_and(|user| user.email.is_some()) {
        deliveries.push(delivery(Channel::Mail, pending.clone()));
    }
    if user.is_some_and(|user| user.webhook.is_some()) {
        deliveries.push(delivery(Channel::Webhook, pending));
    }
    deliveries
}

/// Returns the channels that are to be tried now.
#[must_use]
pub fn due(notification: &Notification, now: Timestamp) -> Vec<Channel> {
    notification
        .deliveries
        .iter()
        .filter(|delivery| matches!(delivery.state, DeliveryState::Pending { next_try } if next_try <= now))
        .map(|delivery| delivery.channel)
        .collect()
}

/// Claims a channel for one try; none when another process has.
#[must_use]
pub fn claim(notification: &Notification, channel: Channel, now: Timestamp) -> Option<Notification> {
    if !due(notification, now).contains(&channel) {
        return None;
    }
    let mut claimed = notification.clone();
    let delivery = claimed
        .deliveries
        .iter_mut()
        .find(|delivery| delivery.channel == channel)?;
    delivery.attempts += 1;
    delivery.state = DeliveryState::Pending {
        next_try: now.plus_millis(CLAIM_MILLIS),
    };
    Some(claimed)
}

/// Why a try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In words.
    pub why: String,
    /// Whether another try can not help.
    pub permanent: bool,
}

impl Failure {
    /// A failure that another try may mend.
    #[must_use]
    pub fn passing(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            permanent: false,
        }
    }

    /// A failure that stays.
    #[must_use]
    pub fn permanent(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            permanent: true,
        }
    }
}

/// Returns the notification after a try on a channel; none when the channel is not pending.
#[must_use]
pub fn after_try(
    notification: &Notification,
    channel: Channel,
    outcome: &Result<(), Failure>,
    now: Timestamp,
) -> Option<Notification> {
    let mut tried = notification.clone();
    let delivery = tried
        .deliveries
        .iter_mut()
        .find(|delivery| delivery.channel == channel)?;
    if !matches!(delivery.state, DeliveryState::Pending { .. }) {
        return None;
    }
    delivery.state = match outcome {
        Ok(()) => DeliveryState::Delivered { at: now },
        Err(Failure { why, permanent }) if *permanent || delivery.attempts >= ATTEMPTS => DeliveryState::Failed {
            why: format!("{why} ({} tries)", delivery.attempts),
        },
        Err(_) => {
            let wait = WAITS[(delivery.attempts.max(1) as usize - 1).min(WAITS.len() - 1)];
            DeliveryState::Pending {
                next_try: now.plus_millis(wait),
            }
        }
    };
    Some(tried)
}

/// Returns the name of a channel, for metrics.
#[must_use]
pub fn name(channel: Channel) -> &'static str {
    match channel {
        Channel::Console => "console",
        Channel::Mail => "mail",
        Channel::Webhook => "webhook",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::messages::action::Severity;
    use common::{ActionId, InstanceId, UserId};

    fn user() -> User {
        User {
            id: UserId::new(),
            name: "eve".to_owned(),
            title: "Eve".to_owned(),
            roles: vec![],
            email: Some("eve@example.org".to_owned()),
            webhook: Some("https://example.org/hook".to_owned()),
            disabled: false,
            created: Timestamp::from_millis(0),
            version: 1,
        }
    }

    fn pending(now: Timestamp) -> Notification {
        let user = user();
        Notification {
            id: ActionId::new(),
            instance: InstanceId::new(),
            owner: user.id,
            application: "Room comfort".to_owned(),
            title: "warm".to_owned(),
            text: String::new(),
            severity: Severity::Warning,
            at: now,
            deliveries: deliveries(Some(&user), true, now),
            version: 1,
        }
    }

    fn channels(deliveries: &[Delivery]) -> Vec<Channel> {
        deliveries.iter().map(|delivery| delivery.channel).collect()
    }

    #[test]
    fn channels_by_what_the_user_and_the_installation_have() {
        use Channel::{Console, Mail, Webhook};
        let now = Timestamp::from_millis(0);
        assert_eq!(
            channels(&deliveries(Some(&user()), true, now)),
            [Console, Mail, Webhook]
        );
        assert_eq!(channels(&deliveries(Some(&user()), false, now)), [Console, Webhook]);
        let plain = User {
            email: None,
            webhook: None,
            ..user()
        };
        assert_eq!(channels(&deliveries(Some(&plain), true, now)), [Console]);
        let disabled = User {
            disabled: true,
            ..user()
        };
        assert_eq!(channels(&deliveries(Some(&disabled), true, now)), [Console]);
        assert_eq!(channels(&deliveries(None, true, now)), [Console]);
    }

    #[test]
    fn five_tries_with_growing_waits_and_then_it_is_given_up() {
        let mut now = Timestamp::from_millis(0);
        let mut notification = pending(now);
        let mut waits = Vec::new();
        loop {
            let claimed = claim(&notification, Channel::Mail, now).unwrap();
            assert_eq!(claim(&claimed, Channel::Mail, now), None, "claimed by one at a time");
            assert_eq!(due(&claimed, now), [Channel::Webhook]);
            notification = after_try(&claimed, Channel::Mail, &Err(Failure::passing("no answer")), now).unwrap();
            match &notification.deliveries[1].state {
                DeliveryState::Pending { next_try } => {
                    waits.push(next_try.millis_since(now) / 1000);
                    now = *next_try;
                }
                DeliveryState::Failed { why } => {
                    assert_eq!(why, "no answer (5 tries)");
                    break;
                }
                DeliveryState::Delivered { .. } => panic!("it never arrived"),
            }
        }
        assert_eq!(waits, [5, 30, 120, 600]);
    }

    #[test]
    fn a_lost_try_is_made_again_and_an_arrival_is_final() {
        let now = Timestamp::from_millis(0);
        let claimed = claim(&pending(now), Channel::Webhook, now).unwrap();
        assert_eq!(
            due(&claimed, now.plus_millis(CLAIM_MILLIS)),
            [Channel::Mail, Channel::Webhook]
        );
        let arrived = after_try(&claimed, Channel::Webhook, &Ok(()), now).unwrap();
        assert_eq!(
            after_try(&arrived, Channel::Webhook, &Err(Failure::passing("late")), now),
            None
        );
        let refused = after_try(&claimed, Channel::Webhook, &Err(Failure::permanent("gone")), now).unwrap();
        assert!(matches!(refused.deliveries[2].state, DeliveryState::Failed { .. }));
    }
}

//! Sessions of browsers and API tokens of programs. The document's id is the SHA-256 of the secret.

use common::{ApiTokenId, Timestamp, UserId};
use runtime::Entity;
use serde::{Deserialize, Serialize};

/// A session ends after so many seconds without a request.
const IDLE_SECONDS: i64 = 12 * 3600;
/// A session ends so many seconds after the sign-in.
pub(crate) const ABSOLUTE_SECONDS: i64 = 7 * 24 * 3600;
/// The last use is written down when it is so many seconds old: not with each request.
const TOUCH_SECONDS: i64 = 300;

/// A signed-in browser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Sign-in name of whose it is.
    pub(crate) account: String,
    /// Whose it is; an account of the same name that was made later is someone else.
    pub(crate) user: UserId,
    /// When it began.
    pub(crate) created: Timestamp,
    /// When it was last used, at least.
    pub(crate) used: Timestamp,
}

impl Session {
    /// Whether it still counts.
    pub(crate) fn alive(&self, now: Timestamp) -> bool {
        now.millis_since(self.used) < IDLE_SECONDS * 1000 && now.millis_since(self.created) < ABSOLUTE_SECONDS * 1000
    }

    /// Whether its last use should be written down.
    pub(crate) fn is_stale(&self, now: Timestamp) -> bool {
        now.millis_since(self.used) > TOUCH_SECONDS * 1000
    }
}

impl Entity for Session {
    const COLLECTION: &'static str = "application_manager_sessions";
    const INDEXES: &'static [&'static str] = &["user"];
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("user", self.user.to_string())]
    }
}

/// What a program signs in with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ApiToken {
    /// Identity.
    pub(crate) id: ApiTokenId,
    /// What it is for.
    pub(crate) name: String,
    /// Sign-in name of whose it is.
    pub(crate) account: String,
    /// Whose it is.
    pub(crate) user: UserId,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
}

impl ApiToken {
    /// Whether it still counts.
    pub(crate) fn alive(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

impl Entity for ApiToken {
    const COLLECTION: &'static str = "application_manager_tokens";
    const INDEXES: &'static [&'static str] = &["user"];
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("user", self.user.to_string())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_idle_and_after_a_week() {
        let start = Timestamp::from_millis(0);
        let hours = |hours: i64| start.plus_millis(hours * 3_600_000);
        // used, now → alive
        for (used, now, alive) in [
            (0, 0, true),
            (0, 11, true),
            (0, 12, false),
            (160, 167, true),
            (167, 168, false),
        ] {
            let session = Session {
                account: "a".to_owned(),
                user: UserId::new(),
                created: start,
                used: hours(used),
            };
            assert_eq!(session.alive(hours(now)), alive, "used {used} h, now {now} h");
        }
    }
}

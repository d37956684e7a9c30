//! When admins are told. Pure.
//!
//! Trouble is told when it lasts: a restart mends most of it before anyone could look. It is told once, and once more when it is over. What is
//! wrong with services of a host that is gone is said by the host alone.

use common::Timestamp;
use common::messages::action::Severity;
use common::messages::health::HealthState;

/// Milliseconds that something must be down until admins are told.
const DOWN_MILLIS: i64 = 20_000;
/// The same for what is there and does not do its work, or is about to fail.
const UNWELL_MILLIS: i64 = 120_000;
/// Milliseconds that it must be well again until that is told.
const OVER_MILLIS: i64 = 10_000;

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Something is wrong.
    Trouble(Severity),
    /// It is over.
    Over,
}

/// Decides what is to be told of something that is in a state since a moment. `told`: whether its trouble was told; `covered`: whether something
/// else that is wrong says it already.
#[must_use]
pub fn word(state: HealthState, since: Timestamp, told: bool, covered: bool, now: Timestamp) -> Option<Word> {
    let lasted = now.millis_since(since);
    let (needed, severity) = match state {
        HealthState::Down => (DOWN_MILLIS, Severity::Critical),
        HealthState::NotReady | HealthState::Degraded => (UNWELL_MILLIS, Severity::Warning),
        HealthState::Up | HealthState::Stopped => {
            return (told && lasted >= OVER_MILLIS).then_some(Word::Over);
        }
        HealthState::Suspected => return None,
    };
    (!told && !covered && lasted >= needed).then_some(Word::Trouble(severity))
}

/// Title and text of what is told of a subject.
#[must_use]
pub fn text(word: Word, subject: &str, state: HealthState, cause: &str, since: Timestamp) -> (String, String) {
    match word {
        Word::Over => (format!("{subject} is well again"), format!("Since {since}.")),
        Word::Trouble(_) => {
            let what = match state {
                HealthState::Down => "is down",
                HealthState::Degraded => "needs attention",
                _ => "does not do its work",
            };
            (
                format!("{subject} {what}"),
                format!("{cause}. Since {since}. The console's page Health and `bootstrap status` say more."),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_that_lasts_is_told_once_and_its_end_once() {
        use HealthState::{Degraded, Down, NotReady, Stopped, Suspected, Up};
        let critical = Some(Word::Trouble(Severity::Critical));
        let warning = Some(Word::Trouble(Severity::Warning));
        for (state, seconds, told, covered, expected) in [
            (Down, 19, false, false, None),
            (Down, 20, false, false, critical),
            (Down, 20, true, false, None),
            (Down, 20, false, true, None),
            (NotReady, 60, false, false, None),
            (NotReady, 120, false, false, warning),
            (Degraded, 120, false, false, warning),
            (Suspected, 500, false, false, None),
            (Up, 500, false, false, None),
            (Up, 9, true, false, None),
            (Up, 10, true, false, Some(Word::Over)),
            (Stopped, 10, true, true, Some(Word::Over)),
        ] {
            let (since, now) = (Timestamp::from_millis(0), Timestamp::from_millis(seconds * 1000));
            let found = word(state, since, told, covered, now);
            assert_eq!(found, expected, "{state:?} {seconds} {told} {covered}");
        }
    }
}

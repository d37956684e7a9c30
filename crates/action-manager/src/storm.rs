//! Protects people from an application that notifies without end: 60 a minute, the rest is counted.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use common::{ActionId, InstanceId, Timestamp};

/// Notifications of one instance in one minute that are delivered.
pub const MOST_PER_MINUTE: usize = 60;

/// Returns the minute of a moment.
#[must_use]
pub fn minute_of(at: Timestamp) -> i64 {
    at.millis().div_euclid(60_000)
}

/// Returns the id of the notification that says what was held back in a minute.
#[must_use]
pub fn summary_id(instance: InstanceId, minute: i64) -> ActionId {
    ActionId::derive(&["storm", &instance.to_string(), &minute.to_string()])
}

/// Says that notifications are held back; `held`: how many in all, once that is known.
#[must_use]
pub fn summary_text(minute: i64, held: Option<u64>) -> String {
    let until = Timestamp::from_millis((minute + 1) * 60_000);
    let rest = match held {
        None => "The rest is".to_owned(),
        Some(1) => "One more was".to_owned(),
        Some(held) => format!("{held} more were"),
    };
    format!(
        "The application sent more than {MOST_PER_MINUTE} notifications in the minute before {until}. {rest} held back."
    )
}

/// What becomes of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is delivered.
    Admitted,
    /// It is held back; the first of its minute is said.
    Held {
        /// Whether it is the first.
        first: bool,
    },
}

/// One minute of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Admitted before this window was begun: by a process before this one.
    before: usize,
    admitted: HashSet<ActionId>,
    held: HashSet<ActionId>,
    first_held: Option<ActionId>,
}

impl Window {
    /// Begins a minute in which so many were admitted before.
    #[must_use]
    pub fn new(before: usize) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }

    /// Counts a notification; one that comes again is told the same.
    pub fn admit(&mut self, id: ActionId) -> Admission {
        let room = self.before + self.admitted.len() < MOST_PER_MINUTE;
        if self.admitted.contains(&id) || (room && !self.held.contains(&id)) {
            self.admitted.insert(id);
            return Admission::Admitted;
        }
        self.held.insert(id);
        Admission::Held {
            first: *self.first_held.get_or_insert(id) == id,
        }
    }
}

/// A minute that is over and in which notifications were held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The instance.
    pub instance: InstanceId,
    /// The minute.
    pub minute: i64,
    /// How many.
    pub held: u64,
}

/// The current minutes of all instances, in memory: after a restart the admitted are counted from the store, the held anew.
#[derive(Debug, Default)]
pub struct Storm {
    windows: Mutex<HashMap<(InstanceId, i64), Window>>,
}

impl Storm {
    /// Whether a minute was begun.
    #[must_use]
    pub fn knows(&self, instance: InstanceId, minute: i64) -> bool {
        self.windows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(&(instance, minute))
    }

    /// Counts a notification; `admitted` is what a minute that was not begun had before.
    pub fn admit(&self, id: ActionId, instance: InstanceId, minute: i64, admitted: usize) -> Admission {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows
            .entry((instance, minute))
            .or_insert_with(|| Window::new(admitted))
            .admit(id)
    }

    /// Removes the minutes that are over and returns those in which something was held back.
    pub fn ended(&self, now: Timestamp) -> Vec<Ended> {
        // Requests of the last minute may still be on their way through kafka.
        let current = minute_of(now) - 1;
        let mut ended = Vec::new();
        self.windows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(instance, minute), window| {
                let over = *minute < current;
                if over && !window.held.is_empty() {
                    ended.push(Ended {
                        instance: *instance,
                        minute: *minute,
                        held: window.held.len() as u64,
                    });
                }
                !over
            });
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_pass_and_the_rest_is_counted_however_often_it_comes() {
        use Admission::{Admitted, Held};
        let storm = Storm::default();
        let (instance, other) = (InstanceId::new(), InstanceId::new());
        let ids: Vec<ActionId> = (0..MOST_PER_MINUTE + 2).map(|_| ActionId::new()).collect();
        for round in 0..2 {
            for (position, id) in ids.iter().enumerate() {
                let expected = match position {
                    ..MOST_PER_MINUTE => Admitted,
                    _ => Held {
                        first: position == MOST_PER_MINUTE,
                    },
                };
                assert_eq!(
                    storm.admit(*id, instance, 5, 0),
                    expected,
                    "{position} in round {round}"
                );
            }
        }
        assert_eq!(storm.admit(ActionId::new(), other, 5, 0), Admitted);
        assert_eq!(storm.admit(ActionId::new(), instance, 6, 0), Admitted);
        assert_eq!(storm.ended(Timestamp::from_millis(6 * 60_000)), []);
        let ended = Ended {
            instance,
            minute: 5,
            held: 2,
        };
        assert_eq!(storm.ended(Timestamp::from_millis(7 * 60_000)), [ended]);
        assert_eq!(storm.ended(Timestamp::from_millis(7 * 60_000)), []);
    }

    #[test]
    fn a_restart_does_not_begin_the_minute_anew() {
        let admission = Storm::default().admit(ActionId::new(), InstanceId::new(), 5, MOST_PER_MINUTE);
        assert_eq!(admission, Admission::Held { first: true });
    }

    #[test]
    fn what_was_held_back_is_said() {
        let text = summary_text(minute_of("2026-01-01T10:00:30Z".parse().unwrap()), Some(12));
        assert!(
            text.ends_with("in the minute before 2026-01-01T10:01:00.000Z. 12 more were held back."),
            "{text}"
        );
    }
}

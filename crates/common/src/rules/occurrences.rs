//! Next due moments of a schedule, and the schedule in words.
//!
//! # Cron
//! Five fields (minute, hour, day of month, month, day of week) or `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`,
//! `@hourly`; no seconds, no years. Names (`JAN`, `MON`), ranges, lists, steps, `L`, `W` and `#` are understood. When both days are
//! given, either is enough (`0 0 13 * FRI` is due on each 13th and on each Friday); `+` before the day of week wants both.
//!
//! # Clock changes
//! - *Plain times* (minute and hour are numbers or lists of numbers): a time that the clock skips is due at the first moment after
//!   the gap; a time that comes twice is due once, the first time.
//! - *Patterns* (`*`, steps, ranges in minute or hour): what the clock skips is not due; what comes twice is due twice.

use std::cmp::Ordering;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDate, CivilDateTime, CivilTime, Cron, CronDateTime, Resolution, Weekday};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, ZonedDateTime};

use crate::Timestamp;
use crate::schedule::When;

pub use super::words::words;

/// How late an occurrence may still be started, in milliseconds.
pub const CATCH_UP_MILLIS: i64 = 3_600_000;

/// The words that stand for whole expressions.
const NICKNAMES: [&str; 6] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@hourly"];

/// Fields of an expression: name, what is allowed.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31, L, or W after a day"),
    ("month", "1 to 12 or JAN to DEC"),
    (
        "day of week",
        "0 to 7 (0 and 7 are Sunday) or SUN to SAT, # with a number, L",
    ),
];

/// Checks whether a schedule can have occurrences.
///
/// # Errors
/// In words for a person: what was found, what is allowed.
pub fn check(when: &When, now: Timestamp) -> Result<(), String> {
    match when {
        When::Now => Ok(()),
        When::Once { at } if now.millis_since(*at) > CATCH_UP_MILLIS => Err(format!(
            "{at} is more than an hour ago; choose a moment that is not past"
        )),
        When::Once { .. } => Ok(()),
        When::Cron { expression, .. } => {
            if next(when, now, 1)?.is_empty() {
                return Err(format!("`{expression}` is never due: no such day exists"));
            }
            Ok(())
        }
    }
}

/// Returns up to `count` due moments after a moment, oldest first. [`When::Now`] has none: it is due when it is created.
///
/// # Errors
/// When the expression or the zone is not valid, in words for a person.
pub fn next(when: &When, after: Timestamp, count: usize) -> Result<Vec<Timestamp>, String> {
    match when {
        When::Now => Ok(Vec::new()),
        When::Once { at } => Ok(Some(*at).filter(|at| *at > after && count > 0).into_iter().collect()),
        When::Cron { expression, zone } => {
            let patterns = parse(expression)?;
            let zone = find_zone(zone)?;
            let mut due = Vec::new();
            let mut cursor = Local(after.jiff().to_zoned_datetime(zone));
            while due.len() < count {
                let earliest = patterns
                    .iter()
                    .filter_map(|pattern| find(pattern, &cursor))
                    .min_by(CronDateTime::cmp_instant);
                let Some(found) = earliest else { break };
                due.push(Timestamp::from_jiff(found.0.timestamp()));
                cursor = found;
            }
            Ok(due)
        }
    }
}

/// Finds the next due moment. Croner gives up at gaps of a whole day (Apia, 2011-12-30), so try again from behind one.
fn find(pattern: &Cron, after: &Local) -> Option<Local> {
    const HALF_DAY: i64 = 12 * 3600;
    [0, HALF_DAY, 2 * HALF_DAY].into_iter().find_map(|seconds| {
        let from = after.checked_add_seconds(seconds)?;
        pattern.find_next_occurrence(&from, seconds > 0).ok()
    })
}

/// Parses an expression; several plain times become one pattern each, so that the rule for plain times holds for all of them.
fn parse(expression: &str) -> Result<Vec<Cron>, String> {
    let expression = expression.trim();
    if expression.starts_with('@') {
        let lower = expression.to_lowercase();
        if !NICKNAMES.contains(&lower.as_str()) {
            return Err(format!(
                "`{expression}` is not known; allowed are {} or five fields{}",
                NICKNAMES.join(", "),
                did_you_mean(&lower, NICKNAMES.into_iter())
            ));
        }
        return Ok(vec![parse_fields(&lower).map_err(|error| error.to_string())?]);
    }
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else {
        return Err(format!(
            "`{expression}` has {} fields; five are needed: minute, hour, day of month, month, day of week (such as `0 8 * * MON-FRI`)",
            fields.len()
        ));
    };
    let whole = parse_fields(expression).map_err(|error| blame(expression, &fields, &error))?;
    let (Some(minutes), Some(hours)) = (plain(minute), plain(hour)) else {
        return Ok(vec![whole]);
    };
    if minutes.len() * hours.len() == 1 {
        return Ok(vec![whole]);
    }
    let mut patterns = Vec::with_capacity(minutes.len() * hours.len());
    for hour in &hours {
        for minute in &minutes {
            let single = format!("{minute} {hour} {day} {month} {weekday}");
            patterns.push(parse_fields(&single).map_err(|error| error.to_string())?);
        }
    }
    Ok(patterns)
}

/// Returns the numbers of a field that has nothing else, when they are few.
pub(super) fn plain(field: &str) -> Option<Vec<u8>> {
    let mut numbers = field
        .split(',')
        .map(|number| number.parse().ok())
        .collect::<Option<Vec<u8>>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    (numbers.len() <= 12).then_some(numbers)
}

fn parse_fields(expression: &str) -> Result<Cron, CronError> {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(expression)
}

/// Names the field that is wrong.
fn blame(expression: &str, fields: &[&str], error: &CronError) -> String {
    for (position, (field, (name, allowed))) in fields.iter().zip(FIELDS).enumerate() {
        let mut alone = ["*"; 5];
        alone[position] = field;
        if parse_fields(&alone.join(" ")).is_err() {
            return format!(
                "`{expression}`: the {name} `{field}` is not valid; allowed are {allowed}, `*`, ranges `a-b`, lists `a,b` and steps `*/n`"
            );
        }
    }
    format!("`{expression}` is not valid: {error}")
}

fn find_zone(name: &str) -> Result<TimeZone, String> {
    jiff::tz::db().get(name).map_err(|_| {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        format!(
            "`{name}` is not a time zone; allowed are IANA names such as Europe/Berlin or UTC{}",
            did_you_mean(name, names.iter().map(String::as_str))
        )
    })
}

fn did_you_mean<'a>(found: &str, allowed: impl Iterator<Item = &'a str>) -> String {
    let found = found.to_lowercase();
    allowed
        .map(|name| (strsim::jaro_winkler(&found, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"))
}

/// A moment in a zone, as croner wants it.
#[derive(Clone)]
struct Local(ZonedDateTime);

fn civil_of(moment: DateTime) -> CivilDateTime {
    let small = |value: i8| u32::from(value.unsigned_abs());
    CivilDateTime::new(
        CivilDate::from_ymd_opt(i32::from(moment.year()), small(moment.month()), small(moment.day()))
            .unwrap_or(CivilDate::from_parts_unchecked(1, 1, 1)),
        CivilTime::from_parts_unchecked(small(moment.hour()), small(moment.minute()), small(moment.second())),
    )
}

fn jiff_of(civil: CivilDateTime) -> Option<DateTime> {
    let small = |value: u32| i8::try_from(value).ok();
    DateTime::new(
        i16::try_from(civil.year()).ok()?,
        small(civil.month())?,
        small(civil.day())?,
        small(civil.hour())?,
        small(civil.minute())?,
        small(civil.second())?,
        0,
    )
    .ok()
}

impl CronDateTime for Local {
    fn to_civil(&self) -> CivilDateTime {
        civil_of(self.0.datetime())
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(u32::from(self.0.weekday().to_sunday_zero_offset().unsigned_abs()))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let ambiguous = self
            .0
            .time_zone()
            .to_ambiguous_zoned_datetime(jiff_of(civil).ok_or(CronError::InvalidDate)?);
        let local = |moment: Result<ZonedDateTime, jiff::Error>| moment.map(Self).map_err(|_| CronError::InvalidTime);
        Ok(match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => Resolution::Single(local(ambiguous.unambiguous())?),
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
            AmbiguousOffset::Fold { .. } => {
                Resolution::Ambiguous(local(ambiguous.clone().earlier())?, local(ambiguous.later())?)
            }
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn cron(expression: &str, zone: &str) -> When {
        When::Cron {
            expression: expression.to_owned(),
            zone: zone.to_owned(),
        }
    }

    /// Due moments of an expression after a moment, as text in UTC without milliseconds.
    fn due(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        next(&cron(expression, zone), at(after), count)
            .unwrap()
            .iter()
            .map(|due| due.to_string().replace(":00.000Z", "Z"))
            .collect()
    }

    #[test]
    fn clock_changes_and_calendars() {
        #[rustfmt::skip]
        let table: [(&str, &str, &str, &[&str]); 22] = [
            // New York skips 02:00-03:00 on 2026-03-08: a plain time comes at the first moment after the gap, once.
            ("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", &["2026-03-08T07:00Z", "2026-03-09T06:30Z"]),
            ("0,30 2 * * *", "America/New_York", "2026-03-08T00:00:00Z", &["2026-03-08T07:00Z", "2026-03-09T06:00Z"]),
            ("30 2,14 * * *", "America/New_York", "2026-03-08T00:00:00Z", &["2026-03-08T07:00Z", "2026-03-08T18:30Z"]),
            // A pattern skips what the clock skips.
            ("*/30 * * * *", "America/New_York", "2026-03-08T06:00:00Z", &["2026-03-08T06:30Z", "2026-03-08T07:00Z"]),
            ("15 */2 * * *", "America/New_York", "2026-03-08T05:15:00Z", &["2026-03-08T08:15Z", "2026-03-08T10:15Z"]),
            // New York has 01:00-02:00 twice on 2026-11-01: a plain time comes once, a pattern twice.
            ("30 1 * * *", "America/New_York", "2026-11-01T04:00:00Z", &["2026-11-01T05:30Z", "2026-11-02T06:30Z"]),
            ("0,30 1 * * *", "America/New_York", "2026-11-01T04:00:00Z", &["2026-11-01T05:00Z", "2026-11-01T05:30Z", "2026-11-02T06:00Z"]),
            ("30 * * * *", "America/New_York", "2026-11-01T04:45:00Z", &["2026-11-01T05:30Z", "2026-11-01T06:30Z", "2026-11-01T07:30Z"]),
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", &["2026-03-29T01:00Z", "2026-03-30T00:30Z"]),
            ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", &["2026-10-25T00:30Z", "2026-10-26T01:30Z"]),
            // Lord Howe moves by half an hour.
            ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", &["2026-10-03T15:30Z", "2026-10-04T15:15Z"]),
            ("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T14:30:00Z", &["2026-04-04T14:45Z", "2026-04-04T15:00Z", "2026-04-04T15:15Z", "2026-04-04T15:30Z"]),
            ("30 9 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", &["2026-01-01T04:00Z", "2026-01-02T04:00Z"]),
            // Apia had no 2011-12-30.
            ("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", &["2011-12-29T22:00Z", "2011-12-30T22:00Z"]),
            // Sao Paulo skipped midnight on 2018-11-04.
            ("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", &["2018-11-04T03:00Z", "2018-11-05T02:00Z"]),
            ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", &["2028-02-29T00:00Z", "2032-02-29T00:00Z"]),
            ("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", &["2026-03-31T00:00Z", "2026-05-31T00:00Z"]),
            ("*/7 * * * *", "UTC", "2026-01-01T00:50:00Z", &["2026-01-01T00:56Z", "2026-01-01T01:00Z", "2026-01-01T01:07Z"]),
            // Both days: either is enough; with `+` both are wanted.
            ("0 0 13 * FRI", "UTC", "2026-02-07T00:00:00Z", &["2026-02-13T00:00Z", "2026-02-20T00:00Z"]),
            ("0 0 13 * +FRI", "UTC", "2026-02-01T00:00:00Z", &["2026-02-13T00:00Z", "2026-03-13T00:00Z", "2026-11-13T00:00Z"]),
            ("@daily", "UTC", "2026-01-01T00:00:00.500Z", &["2026-01-02T00:00Z"]),
            ("0 8 * * MON-FRI", "Europe/Berlin", "2026-01-02T06:59:59.900Z", &["2026-01-02T07:00Z", "2026-01-05T07:00Z"]),
        ];
        for (expression, zone, after, expected) in table {
            assert_eq!(
                due(expression, zone, after, expected.len()),
                expected,
                "{expression} {zone}"
            );
        }
    }

    #[test]
    fn refusals_say_what_was_found_and_what_is_allowed() {
        let now = at("2026-01-01T00:00:00Z");
        #[rustfmt::skip]
        let table = [
            (cron("0 0 30 2 *", "UTC"), "never due"),
            (cron("* * * * * *", "UTC"), "has 6 fields; five are needed"),
            (cron("", "UTC"), "has 0 fields"),
            (cron("61 * * * *", "UTC"), "the minute `61` is not valid; allowed are 0 to 59"),
            (cron("0 24 * * *", "UTC"), "the hour `24`"),
            (cron("0 0 0 * *", "UTC"), "the day of month `0`"),
            (cron("0 0 * 13 *", "UTC"), "the month `13`"),
            (cron("0 0 * * MOO", "UTC"), "the day of week `MOO`"),
            (cron("@dayly", "UTC"), "did you mean `@daily`?"),
            (cron("@reboot", "UTC"), "`@reboot` is not known"),
            (cron("0 0 * * *", "Europe/Berln"), "did you mean `Europe/Berlin`?"),
            (cron("0 0 * * *", "../../etc/passwd"), "is not a time zone"),
            (cron("0 0 * * *", "/etc/localtime"), "is not a time zone"),
            (cron("0 0 * * *", ""), "is not a time zone"),
            (When::Once { at: at("2025-12-31T22:59:59Z") }, "more than an hour ago"),
        ];
        for (when, expected) in table {
            let found = check(&when, now).unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
        for when in [
            When::Now,
            When::Once {
                at: at("2025-12-31T23:00:01Z"),
            },
            When::Once {
                at: at("2030-01-01T00:00:00Z"),
            },
            cron("*/5 * * * *", "UTC"),
        ] {
            assert_eq!(check(&when, now), Ok(()));
        }
    }

    #[test]
    fn once_and_now() {
        let when = When::Once {
            at: at("2026-01-01T10:00:00Z"),
        };
        assert_eq!(next(&when, at("2026-01-01T09:00:00Z"), 5).unwrap().len(), 1);
        assert_eq!(next(&when, at("2026-01-01T10:00:00Z"), 5).unwrap().len(), 0);
        assert_eq!(next(&When::Now, at("2026-01-01T09:00:00Z"), 5).unwrap().len(), 0);
    }

    proptest::proptest! {
        #[test]
        fn due_moments_grow_and_do_not_depend_on_where_one_looks_from(
            minute in "(\\*|\\*/[1-9]|[1-5]?[0-9]|[0-9],[1-5][0-9])",
            hour in "(\\*|\\*/[1-9]|[0-9]|1[0-9]|[0-4],2[0-3])",
            zone in proptest::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
            start in 1_767_225_600_000_i64..1_798_761_600_000,
        ) {
            let when = cron(&format!("{minute} {hour} * * *"), zone);
            let all = next(&when, Timestamp::from_millis(start), 8).unwrap();
            proptest::prop_assert_eq!(all.len(), 8);
            proptest::prop_assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
            proptest::prop_assert!(all.iter().all(|due| due.millis() > start));
            // Asking again from any of them goes on with the one after it.
            for pair in all.windows(2) {
                proptest::prop_assert_eq!(next(&when, pair[0], 1).unwrap(), vec![pair[1]]);
            }
        }
    }
}

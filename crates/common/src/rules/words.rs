//! A schedule in plain English.

use super::occurrences::plain;
use crate::schedule::When;

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Says in plain English when a schedule is due; an expression that has no plain words is quoted.
#[must_use]
pub fn words(when: &When) -> String {
    match when {
        When::Now => "now, once".to_owned(),
        When::Once { at } => format!("once, at {} UTC", at.jiff().strftime("%Y-%m-%d %H:%M")),
        When::Cron { expression, zone } => match in_words(expression) {
            Some(Phrase { text, local: false }) => text,
            Some(Phrase { text, local: true }) => format!("{text}, {}", zone_words(zone)),
            None => format!("by the cron expression `{expression}`, {}", zone_words(zone)),
        },
    }
}

/// A part of the sentence, and whether it depends on the local clock.
struct Phrase {
    text: String,
    local: bool,
}

fn zone_words(zone: &str) -> String {
    if zone == "UTC" {
        "UTC".to_owned()
    } else {
        format!("{zone} time")
    }
}

fn in_words(expression: &str) -> Option<Phrase> {
    let expression = expression.trim().to_uppercase();
    let expression = match expression.as_str() {
        "@HOURLY" => "0 * * * *",
        "@DAILY" => "0 0 * * *",
        "@WEEKLY" => "0 0 * * 0",
        "@MONTHLY" => "0 0 1 * *",
        "@YEARLY" | "@ANNUALLY" => "0 0 1 1 *",
        other => other,
    };
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else {
        return None;
    };
    let time = time_words(minute, hour)?;
    let days = day_words(day, month, weekday)?;
    let days = match (days, time.every_day) {
        (Some(days), _) => Some(days),
        (None, true) => Some("every day".to_owned()),
        (None, false) => None,
    };
    let local = time.phrase.local || days.is_some();
    let text = days.map_or_else(
        || time.phrase.text.clone(),
        |days| format!("{} {days}", time.phrase.text),
    );
    Some(Phrase { text, local })
}

struct Time {
    phrase: Phrase,
    /// Whether "every day" has to be said when no days are given.
    every_day: bool,
}

fn time_words(minute: &str, hour: &str) -> Option<Time> {
    let repeating = |text: String, local: bool| Time {
        phrase: Phrase { text, local },
        every_day: false,
    };
    let hours = plain(hour);
    if let (Some(minutes), Some(hours)) = (plain(minute), &hours) {
        if minutes.len() * hours.len() > 6 {
            return None;
        }
        let times: Vec<String> = hours
            .iter()
            .flat_map(|hour| minutes.iter().map(move |minute| format!("{hour:02}:{minute:02}")))
            .collect();
        return Some(Time {
            phrase: Phrase {
                text: format!("at {}", list(&times)),
                local: true,
            },
            every_day: true,
        });
    }
    let within = match (hour, range(hour)) {
        ("*", _) => String::new(),
        (_, Some((first, last))) => format!(" from {first:02}:00 to {last:02}:59"),
        _ => String::new(),
    };
    let local = !within.is_empty();
    if hour == "*" || local {
        let text = match (minute, plain(minute).as_deref(), step(minute)) {
            ("*", ..) => "every minute".to_owned(),
            (_, Some([0]), _) => "every hour".to_owned(),
            (_, Some([1]), _) => "every hour, 1 minute past".to_owned(),
            (_, Some([one]), _) => format!("every hour, {one} minutes past"),
            (_, Some(several), _) => {
                let several: Vec<String> = several.iter().map(ToString::to_string).collect();
                format!("every hour, {} minutes past", list(&several))
            }
            (_, _, Some(1)) => "every minute".to_owned(),
            (_, _, Some(step)) if 60 % step == 0 => format!("every {step} minutes"),
            (_, _, Some(step)) => format!("every {step} minutes of each hour"),
            _ => return None,
        };
        return Some(repeating(text + &within, local));
    }
    let past = match plain(minute).as_deref() {
        Some([0]) => String::new(),
        Some([one]) => format!(" at {one} past"),
        _ => return None,
    };
    match step(hour)? {
        1 => Some(repeating(format!("every hour{past}"), false)),
        step if 24 % step == 0 => Some(repeating(format!("every {step} hours{past}"), true)),
        step => Some(repeating(format!("every {step} hours of each day{past}"), true)),
    }
}

/// Returns the days in words; `Some(None)` when every day fits.
fn day_words(day: &str, month: &str, weekday: &str) -> Option<Option<String>> {
    let any = |field: &str| field == "*" || field == "?";
    let months = if month == "*" {
        None
    } else {
        Some(names(month, &MONTHS, 1)?)
    };
    let dates = if any(day) {
        None
    } else {
        Some(date_words(day, months.as_deref())?)
    };
    let weekdays = if any(weekday) {
        None
    } else {
        Some(weekday_words(weekday)?)
    };
    let text = match (dates, weekdays) {
        (None, None) => return Some(months.map(|months| format!("every day in {}", list(&months)))),
        (Some(dates), None) => return Some(Some(dates)),
        (None, Some(weekdays)) => weekdays,
        (Some(dates), Some(weekdays)) => format!("{dates} and {weekdays}"),
    };
    Some(Some(match months {
        Some(months) => format!("{text} in {}", list(&months)),
        None => text,
    }))
}

fn date_words(day: &str, months: Option<&[String]>) -> Option<String> {
    let of = match months {
        None => " of every month".to_owned(),
        Some(months) => format!(" of {}", list(months)),
    };
    if day == "L" {
        return Some(format!("on the last day{of}"));
    }
    let days: Vec<String> = plain(day)?.iter().map(ToString::to_string).collect();
    let plural = if days.len() == 1 { "" } else { "s" };
    Some(format!("on day{plural} {}{of}", list(&days)))
}

fn weekday_words(field: &str) -> Option<String> {
    match field {
        "1-5" | "MON-FRI" => return Some("on weekdays".to_owned()),
        "0,6" | "6,0" | "6,7" | "SAT,SUN" | "SUN,SAT" | "6-7" => return Some("on weekends".to_owned()),
        _ => {}
    }
    let days: Vec<String> = names(field, &WEEKDAYS, 0)?
        .iter()
        .map(|day| format!("{day}s"))
        .collect();
    Some(format!("on {}", list(&days)))
}

/// Turns a list of numbers, short names and ranges into names.
fn names(field: &str, names: &[&str], first: usize) -> Option<Vec<String>> {
    let position = |text: &str| {
        let by_name = names
            .iter()
            .position(|name| text.len() == 3 && name.to_uppercase().starts_with(text));
        let by_number = || text.parse::<usize>().ok()?.checked_sub(first);
        // The weekday 7 is Sunday as well.
        by_name
            .or_else(by_number)
            .map(|found| if found == 7 && names.len() == 7 { 0 } else { found })
    };
    let mut found = Vec::new();
    for part in field.split(',') {
        match part.split_once('-') {
            Some((from, to)) => {
                let (from, to) = (position(from)?, position(to)?);
                if from > to {
                    return None;
                }
                found.extend(from..=to);
            }
            None => found.push(position(part)?),
        }
    }
    found
        .iter()
        .map(|position| names.get(*position).map(|name| (*name).to_owned()))
        .collect()
}

fn step(field: &str) -> Option<u8> {
    field.strip_prefix("*/")?.parse().ok().filter(|step| *step > 0)
}

fn range(field: &str) -> Option<(u8, u8)> {
    let (first, last) = field.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Joins with commas and a final "and".
fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_in_words() {
        #[rustfmt::skip]
        let table = [
            ("*/15 * * * *", "every 15 minutes"),
            ("* * * * *", "every minute"),
            ("*/7 * * * *", "every 7 minutes of each hour"),
            ("0 * * * *", "every hour"),
            ("@hourly", "every hour"),
            ("5 * * * *", "every hour, 5 minutes past"),
            ("0,30 * * * *", "every hour, 0 and 30 minutes past"),
            ("0 */6 * * *", "every 6 hours, Europe/Berlin time"),
            ("0 8 * * *", "at 08:00 every day, Europe/Berlin time"),
            ("0 8 * * MON-FRI", "at 08:00 on weekdays, Europe/Berlin time"),
            ("0 8 * * 1-5", "at 08:00 on weekdays, Europe/Berlin time"),
            ("30 7,19 * * *", "at 07:30 and 19:30 every day, Europe/Berlin time"),
            ("0 8 * * sat,sun", "at 08:00 on weekends, Europe/Berlin time"),
            ("0 8 * * MON,WED,FRI", "at 08:00 on Mondays, Wednesdays and Fridays, Europe/Berlin time"),
            ("0 0 * * 7", "at 00:00 on Sundays, Europe/Berlin time"),
            ("0 0 1 * *", "at 00:00 on day 1 of every month, Europe/Berlin time"),
            ("0 0 L * *", "at 00:00 on the last day of every month, Europe/Berlin time"),
            ("0 0 1 1 *", "at 00:00 on day 1 of January, Europe/Berlin time"),
            ("0 0 13 * FRI", "at 00:00 on day 13 of every month and on Fridays, Europe/Berlin time"),
            ("0 6 * 6-8 *", "at 06:00 every day in June, July and August, Europe/Berlin time"),
            ("*/10 8-17 * * MON-FRI", "every 10 minutes from 08:00 to 17:59 on weekdays, Europe/Berlin time"),
            ("0 0 * * 5#L", "by the cron expression `0 0 * * 5#L`, Europe/Berlin time"),
            ("nonsense", "by the cron expression `nonsense`, Europe/Berlin time"),
        ];
        for (expression, expected) in table {
            let when = When::Cron {
                expression: expression.to_owned(),
                zone: "Europe/Berlin".to_owned(),
            };
            assert_eq!(words(&when), expected);
        }
    }

    #[test]
    fn single_moments_in_words() {
        assert_eq!(words(&When::Now), "now, once");
        let at = "2026-01-31T09:00:00+01:00".parse().unwrap();
        assert_eq!(words(&When::Once { at }), "once, at 2026-01-31 08:00 UTC");
    }
}

//! Logs of this machine: a file for each program, and each says in its own way when a line was written.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use futures_util::future::select_all;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::command::{command, text};
use crate::failure::{Exit, Failure};
use crate::fleet::Lines;
use crate::installation::Installation;

/// Shows lines, and with `follow` what is added.
pub(super) async fn logs(installation: &Installation, wanted: &Lines, follow: bool, json: bool) -> Result<(), Failure> {
    let programs = programs(installation, wanted.program.as_deref())?;
    let since = match &wanted.since {
        Some(since) => Some(parse_since(since).await?),
        None => None,
    };
    let filter = Filter {
        since,
        containing: wanted.containing.as_deref(),
        late: false,
    };
    let shown = Shown {
        headed: programs.len() > 1,
        json,
        last: Mutex::default(),
    };
    if follow {
        let each = programs.iter().map(async |program| {
            let (count, filter) = (wanted.count, filter.clone());
            follow_one(installation, program, count, filter, &shown).await
        });
        // None ends by itself: the first one that does, ends all.
        return select_all(each.map(Box::pin)).await.0;
    }
    for program in &programs {
        let path = installation.layout.log(program);
        let written = std::fs::metadata(&path).and_then(|about| about.modified()).ok();
        let written = written.and_then(|moment| Timestamp::try_from(moment).ok());
        let log = read_back(&path, written, &filter, wanted.count);
        let log =
            log.map_err(|error| Failure::new(Exit::Failed, format!("could not read {}: {error}", path.display())))?;
        for line in select(&log, written, filter.clone(), wanted.count) {
            if shown.line(program, line).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What a program wrote, as far back as is wanted and there: the supervisor puts a file aside that is full, as `.1`, and older ones as `.2` and so on.
fn read_back(path: &Path, written: Option<Timestamp>, filter: &Filter<'_>, count: u32) -> std::io::Result<String> {
    let read = |path: &Path| std::fs::read(path).map(|read| String::from_utf8_lossy(&read).into_owned());
    let mut log = read(path)?;
    for number in 1_u32.. {
        let lines = select(&log, written, filter.clone(), count).len();
        let begins_before = filter.since.is_some() && log.lines().find_map(moment) < filter.since;
        if lines >= count as usize || begins_before {
            break;
        }
        let mut older = path.as_os_str().to_owned();
        older.push(format!(".{number}"));
        let Ok(older) = read(Path::new(&older)) else { break };
        log.insert_str(0, &older);
    }
    Ok(log)
}

/// Names of the logs to show.
fn programs(installation: &Installation, only: Option<&str>) -> Result<Vec<String>, Failure> {
    let folder = installation.layout.logs();
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log").map(str::to_owned))
        .collect();
    names.sort();
    if names.is_empty() {
        let message = format!("there are no logs in {} yet", folder.display());
        return Err(Failure::new(Exit::Failed, message));
    }
    let Some(only) = only else { return Ok(names) };
    if !names.iter().any(|name| name == only) {
        let message = format!("there is no log of `{only}`; there are: {}", names.join(", "));
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(vec![only.to_owned()])
}

/// Reads a time as people say it.
async fn parse_since(since: &str) -> Result<Timestamp, Failure> {
    let seconds = text(command("date", ["+%s", "--date", since])).await.ok();
    let moment = seconds.and_then(|seconds| Timestamp::from_second(seconds.parse().ok()?).ok());
    moment.ok_or_else(|| {
        let message = format!("--since {since:?} is no time; `1 hour ago` and `2026-01-31 08:00` are");
        Failure::new(Exit::Usage, message)
    })
}

async fn follow_one(
    installation: &Installation,
    program: &str,
    count: u32,
    mut filter: Filter<'_>,
    shown: &Shown,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("could not run tail: {error}"));
    let from = match filter.since {
        Some(_) => "+1".to_owned(),
        None => count.to_string(),
    };
    let mut tail = tokio::process::Command::new("tail");
    tail.args(["-n", &from, "-F"]).arg(installation.layout.log(program));
    tail.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut tail = tail.spawn().map_err(failed)?;
    let Some(out) = tail.stdout.take() else { return Ok(()) };
    let mut lines = BufReader::new(out).split(b'\n');
    while let Some(line) = lines.next_segment().await.map_err(failed)? {
        let line = String::from_utf8_lossy(&line);
        // Whoever does not listen any more has ended it.
        if filter.wants(&line) && shown.line(program, &line).is_err() {
            break;
        }
    }
    Ok(())
}

/// The last lines that are wanted. A log that never says when counts as written when its file was.
fn select<'a>(log: &'a str, written: Option<Timestamp>, mut filter: Filter<'_>, count: u32) -> VecDeque<&'a str> {
    if !log.lines().any(|line| moment(line).is_some()) {
        filter.late = filter.since <= written;
    }
    let mut selected = VecDeque::new();
    for line in log.lines().filter(|line| filter.wants(line)) {
        selected.push_back(line);
        if selected.len() > count as usize {
            selected.pop_front();
        }
    }
    selected
}

/// Which lines are wanted.
#[derive(Debug, Clone)]
struct Filter<'a> {
    since: Option<Timestamp>,
    containing: Option<&'a str>,
    /// Whether the last line that says when is late enough: those that do not say belong to it.
    late: bool,
}

impl Filter<'_> {
    fn wants(&mut self, line: &str) -> bool {
        if let (Some(since), Some(at)) = (self.since, moment(line)) {
            self.late = at >= since;
        }
        (self.since.is_none() || self.late) && self.containing.is_none_or(|text| line.contains(text))
    }
}

/// When a line was written: the first date with a time near its beginning. Without a zone it is this machine's.
fn moment(line: &str) -> Option<Timestamp> {
    const LENGTH: usize = "2026-01-31T08:00:00".len();
    const NEAR: usize = 40;
    let bytes = line.as_bytes();
    let at = (0..NEAR.min(bytes.len())).find(|at| {
        let found = bytes.get(*at..*at + LENGTH);
        found.is_some_and(|found| {
            found.iter().zip(b"0000-00-00T00:00:00").all(|(is, like)| match like {
                b'0' => is.is_ascii_digit(),
                b'T' => matches!(is, b'T' | b' '),
                _ => is == like,
            })
        })
    })?;
    let when: DateTime = line.get(at..at + LENGTH)?.parse().ok()?;
    let rest = line
        .get(at + LENGTH..)?
        .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ','));
    let utc = ["Z", " UTC", " GMT", "+00:00"]
        .iter()
        .any(|zone| rest.starts_with(zone));
    let zone = if utc { TimeZone::UTC } else { TimeZone::system() };
    zone.to_timestamp(when).ok()
}

/// Where lines go.
struct Shown {
    /// Several programs are shown: each says that it is its turn.
    headed: bool,
    json: bool,
    last: Mutex<Option<String>>,
}

impl Shown {
    fn line(&self, program: &str, line: &str) -> std::io::Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = std::io::stdout().lock();
        if self.json {
            return writeln!(out, "{}", json!({ "program": program, "line": line }));
        }
        if self.headed && last.as_deref() != Some(program) {
            let gap = if last.is_some() { "\n" } else { "" };
            writeln!(out, "{gap}==> {program} <==")?;
            *last = Some(program.to_owned());
        }
        writeln!(out, "{line}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn programs_say_in_their_own_ways_when() {
        let same = at("2026-01-31T08:00:00Z");
        let local = same
            .to_zoned_datetime(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string();
        for line in [
            "2026-01-31T08:00:00.123456Z  INFO scheduler: ready",
            "2026-01-31 08:00:00.123 UTC [71] LOG:  ready",
            &format!("[{local},123] INFO ready (kafka.server)"),
        ] {
            assert_eq!(moment(line), Some(same), "{line}");
        }
        for line in ["", "   Compiling bootstrap", "at 2026-01-31", "ä 2026-31-31T08:00:00"] {
            assert_eq!(moment(line), None, "{line}");
        }
    }

    #[test]
    fn lines_are_chosen_by_time_and_text_and_the_last_ones_stay() {
        let log =
            "2026-01-31T08:00:00Z one\n  of one\n2026-01-31T09:00:00Z two\n  of two\n2026-01-31T10:00:00Z three\n";
        let cases = [
            (None, None, 1, "2026-01-31T10:00:00Z three"),
            (
                Some("2026-01-31T09:00:00Z"),
                None,
                9,
                "2026-01-31T09:00:00Z two|  of two|2026-01-31T10:00:00Z three",
            ),
            (None, Some("of"), 9, "  of one|  of two"),
            (Some("2026-01-31T08:30:00Z"), Some("of"), 9, "  of two"),
        ];
        for (since, containing, count, expected) in cases {
            let filter = Filter {
                since: since.map(at),
                containing,
                late: false,
            };
            let lines: Vec<&str> = select(log, None, filter, count).into();
            assert_eq!(lines.join("|"), expected);
        }
    }

    #[test]
    fn files_that_were_put_aside_are_read_as_far_as_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scheduler.log");
        for (end, hour) in [("", 10), (".1", 9), (".2", 8)] {
            let line = format!("2026-01-31T{hour:02}:00:00Z at {hour}\n");
            std::fs::write(folder.path().join(format!("scheduler.log{end}")), line).unwrap();
        }
        let cases = [
            (None, None, 1, 1),
            (None, None, 2, 2),
            (None, None, 9, 3),
            (None, Some("at 8"), 1, 3),
            (Some("2026-01-31T08:30:00Z"), None, 9, 3),
            (Some("2026-01-31T09:30:00Z"), None, 9, 2),
            (Some("2026-01-31T09:30:00Z"), None, 1, 1),
        ];
        for (since, containing, count, read) in cases {
            let filter = Filter {
                since: since.map(at),
                containing,
                late: false,
            };
            let log = read_back(&path, None, &filter, count).unwrap();
            assert_eq!(log.lines().count(), read, "{filter:?} {count}");
        }
    }

    #[test]
    fn a_log_that_never_says_when_is_as_old_as_its_file() {
        let filter = Filter {
            since: Some(at("2026-01-31T09:00:00Z")),
            containing: None,
            late: false,
        };
        for (written, lines) in [("2026-01-31T08:00:00Z", 0), ("2026-01-31T10:00:00Z", 1)] {
            assert_eq!(select("Compiling\n", Some(at(written)), filter.clone(), 9).len(), lines);
        }
    }
}

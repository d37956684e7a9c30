//! What is wrong with something that a person wrote, in one form for every check.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that is wrong: where, what was found, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Where: a path such as `slots.fan.min`, or a file of a bundle.
    pub path: String,
    /// What was found there.
    pub found: String,
    /// What is allowed there, or what to do.
    pub allowed: String,
}

impl Problem {
    /// Says what is wrong.
    #[must_use]
    pub fn new(path: impl Into<String>, found: impl fmt::Display, allowed: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            found: found.to_string(),
            allowed: allowed.into(),
        }
    }

    /// Puts the path below another one.
    #[must_use]
    pub fn under(mut self, parent: &str) -> Self {
        self.path = join(parent, &self.path);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}; allowed: {}", self.path, self.found, self.allowed)
    }
}

/// Joins two paths; either may be empty.
#[must_use]
pub(super) fn join(parent: &str, child: &str) -> String {
    match (parent.is_empty(), child.is_empty()) {
        (true, _) => child.to_owned(),
        (_, true) => parent.to_owned(),
        _ if child.starts_with('[') => format!("{parent}{child}"),
        _ => format!("{parent}.{child}"),
    }
}

/// Returns the known name that is closest to what was found, if any is close.
#[must_use]
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Distances grow with the square of the length, and nobody means a known name by a text of kilobytes.
    if found.len() > 100 {
        return None;
    }
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .filter(|(distance, name)| {
            let longer = name.chars().count().max(found.chars().count());
            *distance <= longer.div_ceil(3) && *distance < longer
        })
        .min()
        .map(|(_, name)| name)
}

/// What the parser of JSON wants, in words: it names this program's types, which mean nothing to whoever writes a file.
#[must_use]
pub(super) fn wanted_in_words(wanted: &str) -> Option<&'static str> {
    Some(match wanted {
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, not negative",
        "i32" => "a whole number",
        "f64" => "a number",
        "a string" | "string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        wanted if wanted.starts_with("struct ") => "an object",
        _ => return None,
    })
}

/// What the parser of JSON says, for whoever wrote it: without the place in the text, and without this program's types.
#[must_use]
pub fn in_words(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    if let Some((before, _)) = message.split_once("UUID parsing failed") {
        return format!("{before}expected an id, as this platform gives them");
    }
    let words = message
        .rsplit_once("expected ")
        .and_then(|(found, wanted)| Some((found, wanted_in_words(wanted)?)));
    words.map_or_else(
        || message.to_owned(),
        |(found, words)| format!("{found}expected {words}"),
    )
}

/// Words for "one of these names", with the nearest one first.
#[must_use]
pub fn one_of<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    if known.is_empty() {
        return "none here".to_owned();
    }
    let listed = known
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    match nearest(found, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? known are {listed}"),
        None => listed,
    }
}

/// Shortens a text that came from outside and makes its control characters visible.
#[must_use]
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut short: String = text.chars().take(LONGEST).flat_map(visible).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

fn visible(character: char) -> Vec<char> {
    // Direction marks would let a name show as another one.
    let hidden =
        matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if character.is_control() || hidden {
        character.escape_default().collect()
    } else {
        vec![character]
    }
}

/// Problems as one text, for logs and one-line answers.
#[must_use]
pub fn listed(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parser_speaks_to_people() {
        for (said, words) in [
            (
                "when: invalid type: integer `1`, expected a string at line 1 column 9",
                "when: invalid type: integer `1`, expected a text",
            ),
            (
                "location: UUID parsing failed: invalid character: found `n` at 0 at line 1 column 50",
                "location: expected an id, as this platform gives them",
            ),
            (
                "when.kind: unknown variant `at`, expected one of `now`, `once` at line 1 column 7",
                "when.kind: unknown variant `at`, expected one of `now`, `once`",
            ),
        ] {
            assert_eq!(in_words(said), words);
        }
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        assert_eq!(nearest("treshold", ["threshold", "title"]), Some("threshold"));
        assert_eq!(nearest("colour", ["threshold", "title"]), None);
        assert_eq!(nearest(&"a".repeat(5000), ["a"]), None);
        assert_eq!(one_of("x", []), "none here");
        assert_eq!(one_of("tilte", ["title"]), "did you mean `title`? known are `title`");
    }

    #[test]
    fn what_came_from_outside_is_shown_harmlessly() {
        assert_eq!(shown("a\u{1b}[31m\0\u{202e}b"), "`a\\u{1b}[31m\\u{0}\\u{202e}b`");
        assert_eq!(shown(&"é".repeat(100)).chars().count(), 83);
    }

    #[test]
    fn paths_are_joined() {
        assert_eq!(
            Problem::new("threshold", "x", "y").under("parameters").path,
            "parameters.threshold"
        );
        assert_eq!(join("start", "[0]"), "start[0]");
        assert_eq!(join("", "a"), "a");
    }

    #[test]
    fn a_problem_reads_as_a_sentence() {
        let problem = Problem::new("slots.fan.min", 3, "at most 1, which is `max`");
        assert_eq!(
            problem.to_string(),
            "slots.fan.min: found 3; allowed: at most 1, which is `max`"
        );
    }
}

//! From the text of `app.json` to a manifest, or to what is wrong with the text.
//!
//! Two passes: the first walks any JSON and refuses what serde would accept silently (a key that is there twice) or what
//! would cost too much (depth, size); the second reads the manifest.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::{Path, Segment};

use crate::manifest::Manifest;
use crate::rules::problem::{Problem, join, one_of, shown, wanted_in_words};

/// Largest `app.json`, in bytes.
pub const LARGEST: usize = 256 * 1024;
/// Deepest nesting; a manifest needs four.
const DEEPEST: usize = 16;

/// Reads a manifest.
///
/// # Errors
/// Where the text is no manifest, what was found and what is allowed.
pub fn parse(json: &str) -> Result<Manifest, Vec<Problem>> {
    let whole = |found: String, allowed: &str| vec![Problem::new("app.json", found, allowed)];
    if json.len() > LARGEST {
        return Err(whole(format!("{} bytes", json.len()), "at most 262144 bytes"));
    }
    // Editors of one family put it there, and nothing is lost without it.
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    if json.trim().is_empty() {
        return Err(whole("an empty file".to_owned(), "a JSON object"));
    }
    let mut walk = Walk::default();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let walked = walk
        .value("", 0)
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    if let Err(error) = walked {
        return Err(match walk.too_deep {
            Some(path) => vec![Problem::new(
                path,
                format!("more than {DEEPEST} levels"),
                format!("at most {DEEPEST} levels of nesting"),
            )],
            None => vec![syntax(&error)],
        });
    }
    if !walk.repeated.is_empty() {
        return Err(walk.repeated);
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| vec![explain(&error, json)])
}

fn syntax(error: &serde_json::Error) -> Problem {
    let place = format!("app.json line {} column {}", error.line(), error.column());
    Problem::new(
        place,
        without_place(&error.to_string()),
        "JSON (no comments, no trailing commas)",
    )
}

fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

/// What the first pass finds.
#[derive(Default)]
struct Walk {
    repeated: Vec<Problem>,
    too_deep: Option<String>,
}

impl Walk {
    fn value<'a>(&'a mut self, path: &'a str, depth: usize) -> Place<'a> {
        Place {
            walk: self,
            path,
            depth,
        }
    }
}

struct Place<'a> {
    walk: &'a mut Walk,
    path: &'a str,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > DEEPEST {
            self.walk.too_deep = Some(self.path.to_owned());
            return Err(D::Error::custom("too deep"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let path = format!("{}[{index}]", self.path);
            if list
                .next_element_seed(self.walk.value(&path, self.depth + 1))?
                .is_none()
            {
                break;
            }
        }
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = join(self.path, &key);
            map.next_value_seed(self.walk.value(&path, self.depth + 1))?;
            if let Some(key) = seen.replace(key) {
                self.walk.repeated.push(Problem::new(
                    path,
                    format!("the key {} again", shown(&key)),
                    "each key once",
                ));
            }
        }
        Ok(())
    }
}

/// Turns the parser's words into ours.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>, json: &str) -> Problem {
    let message = without_place(&error.inner().to_string());
    let path = error.path().to_string();
    let path = if path == "." { String::new() } else { path };
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let problem = if let Some(rest) = message.strip_prefix("missing field ") {
        let field = rest.trim_matches('`');
        Problem::new(join(&path, field), "nothing", "it is required")
    } else if let (true, Some((found, known))) = (message.starts_with("unknown field "), names.split_first()) {
        // The path names the unknown field itself.
        let place = if path.ends_with(found) {
            path
        } else {
            join(&path, found)
        };
        Problem::new(
            place,
            format!("the unknown field {}", shown(found)),
            one_of(found, known.iter().copied()),
        )
    } else if let (true, Some((found, known))) = (message.starts_with("unknown variant "), names.split_first()) {
        Problem::new(path, shown(found), one_of(found, known.iter().copied()))
    } else {
        let found = value_at(json, error.path()).map_or_else(|| "something else".to_owned(), |value| in_words(&value));
        Problem::new(path, found, expected(&message, error.path()))
    };
    if problem.path.is_empty() {
        Problem {
            path: "app.json".to_owned(),
            ..problem
        }
    } else {
        problem
    }
}

fn value_at(json: &str, path: &Path) -> Option<serde_json::Value> {
    let mut value: serde_json::Value = serde_json::from_str(json).ok()?;
    for segment in path.iter() {
        value = match segment {
            Segment::Seq { index } => value.get_mut(index)?.take(),
            Segment::Map { key } => value.get_mut(key)?.take(),
            Segment::Enum { variant } => value.get_mut(variant)?.take(),
            Segment::Unknown => return None,
        };
    }
    Some(value)
}

fn in_words(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(_) => "an object".to_owned(),
        serde_json::Value::Array(_) => "a list".to_owned(),
        serde_json::Value::String(text) => format!("the text {}", shown(text)),
        other => other.to_string(),
    }
}

/// Says what is allowed: `invalid type: string "80", expected u16` and the like end with it.
fn expected(message: &str, path: &Path) -> String {
    if message.starts_with("data did not match any variant of untagged enum Value") {
        return "true, false, a number or a text".to_owned();
    }
    if let Some((_, allowed)) = message.split_once("; allowed are ") {
        return allowed.to_owned();
    }
    let wanted = message.rsplit_once("expected ").map(|(_, wanted)| wanted);
    if let Some(words) = wanted.and_then(wanted_in_words) {
        return words.to_owned();
    }
    match (wanted, path.to_string().as_str()) {
        (Some("value"), "runtime") => r#"an object such as {"python": "3"}"#,
        (Some("value"), _) => "a text",
        (Some("semver version" | "semantic version"), _) | (_, "version") => "a version such as 1.2.3",
        (Some(wanted), _) => wanted,
        (None, _) => message,
    }
    .to_owned()
}

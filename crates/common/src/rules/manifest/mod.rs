//! Whether a manifest can be run.

use std::collections::{BTreeMap, BTreeSet};

use super::parameters;
use super::problem::{Problem, join, one_of, shown};
use crate::manifest::{Kind, Manifest, Page, Parameter, ParameterKind, Resources, Slot, ThingKind};
use crate::names::Slug;
use crate::settings::Limits;

mod reading;

pub use reading::{LARGEST, parse};

/// Types of the registry by name.
pub type KnownTypes = BTreeMap<Slug, ThingKind>;

/// Most slots of a manifest.
const MOST_SLOTS: usize = 32;
/// Most parameters of a manifest.
const MOST_PARAMETERS: usize = 64;
/// Most words of `start`.
const MOST_WORDS: usize = 64;
/// Least memory with which a runtime starts at all, in MiB.
const LEAST_MEMORY_MIB: u64 = 16;
/// Least CPU share that gets anything done.
const LEAST_CPUS: f64 = 0.01;

/// Returns the JSON Schema of `app.json`, for editors and the reference.
#[must_use]
pub fn schema() -> schemars::Schema {
    let mut schema = schemars::schema_for!(Manifest);
    schema.insert("title".to_owned(), "app.json".into());
    schema
}

/// Checks what a manifest says; nothing wrong is an empty list. Types of slots are checked when the registry's are given.
#[must_use]
pub fn check(manifest: &Manifest, limits: &Limits, known_types: Option<&KnownTypes>) -> Vec<Problem> {
    let mut problems = Problems::default();
    check_text(&mut problems, manifest);
    check_start(&mut problems, &manifest.start);
    problems.count("slots", manifest.slots.len(), MOST_SLOTS);
    for (name, slot) in &manifest.slots {
        check_slot(&mut problems, name, slot, known_types);
    }
    problems.count("parameters", manifest.parameters.len(), MOST_PARAMETERS);
    for (name, parameter) in &manifest.parameters {
        check_name(&mut problems, "parameters", name);
        problems.0.extend(
            check_parameter(parameter)
                .into_iter()
                .map(|problem| problem.under(&join("parameters", name))),
        );
    }
    if let Some(page) = &manifest.page {
        check_page(&mut problems, page);
    }
    check_resources(&mut problems, manifest.resources, limits);
    if !(1..=300).contains(&manifest.stop_timeout_seconds) {
        problems.add("stop_timeout_seconds", manifest.stop_timeout_seconds, "1 to 300");
    }
    if !(1..=10).contains(&manifest.replicas) {
        problems.add("replicas", manifest.replicas, "1 to 10");
    } else if manifest.kind == Kind::Task && manifest.replicas != 1 {
        problems.add(
            "replicas",
            manifest.replicas,
            "1, because a `task` runs to completion once",
        );
    }
    problems.0
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, path: impl Into<String>, found: impl std::fmt::Display, allowed: impl Into<String>) {
        self.0.push(Problem::new(path, found, allowed));
    }

    fn count(&mut self, path: &str, found: usize, most: usize) {
        if found > most {
            self.add(path, format!("{found} entries"), format!("at most {most}"));
        }
    }

    fn line(&mut self, path: &str, text: &str, most: usize) {
        let length = text.chars().count();
        if length > most || text.trim().is_empty() || text.chars().any(char::is_control) {
            let found = if length > most {
                format!("{length} characters")
            } else {
                shown(text)
            };
            self.add(path, found, format!("one line of 1 to {most} characters"));
        }
    }
}

fn check_text(problems: &mut Problems, manifest: &Manifest) {
    if manifest.manifest != 1 {
        problems.add("manifest", manifest.manifest, "1, the only format so far");
    }
    problems.line("title", &manifest.title, 80);
    let length = manifest.description.chars().count();
    if length > 4000 || manifest.description.contains('\0') {
        problems.add(
            "description",
            format!("{length} characters"),
            "at most 4000 characters of text",
        );
    }
    let version = manifest.version.to_string();
    if version.len() > 40 || !manifest.version.build.is_empty() {
        problems.add(
            "version",
            shown(&version),
            "a version such as 1.2.3 or 1.2.3-rc.1, at most 40 characters, without `+`",
        );
    }
}

fn check_start(problems: &mut Problems, start: &[String]) {
    match start.first() {
        None => problems.add(
            "start",
            "an empty list",
            r#"the program and its arguments, such as ["python", "main.py"]"#,
        ),
        Some(program) if program.trim().is_empty() => problems.add("start[0]", shown(program), "the name of a program"),
        Some(_) => {}
    }
    problems.count("start", start.len(), MOST_WORDS);
    for (index, word) in start.iter().enumerate() {
        if word.contains('\0') || word.len() > parameters::LONGEST_TEXT {
            problems.add(format!("start[{index}]"), shown(word), "at most 4096 bytes without NUL");
        }
    }
}

/// Names of slots and parameters become words of programs: letters, digits, `_`, `-`.
fn check_name(problems: &mut Problems, parent: &str, name: &str) {
    let fits = (1..=40).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-');
    if !fits {
        let allowed = "1 to 40 lower-case letters, digits, `_` and `-`, beginning with a letter";
        problems.add(parent, format!("the name {}", shown(name)), allowed);
    }
}

fn check_slot(problems: &mut Problems, name: &str, slot: &Slot, known: Option<&KnownTypes>) {
    check_name(problems, "slots", name);
    let path = join("slots", name);
    match slot.need() {
        Some((kind, name)) => {
            if let Some(known) = known {
                check_type(problems, &path, kind, name, known);
            }
        }
        None => {
            let found = if slot.sensor.is_some() {
                "both `sensor` and `device`"
            } else {
                "neither `sensor` nor `device`"
            };
            problems.add(path.as_str(), found, "exactly one of them, with the name of a type");
        }
    }
    match slot.max {
        Some(0) => problems.add(format!("{path}.max"), 0, "1 or more, or null for all of the place"),
        Some(max) if slot.min > max => problems.add(
            format!("{path}.min"),
            slot.min,
            format!("at most {max}, which is `max`"),
        ),
        _ => {}
    }
    if slot.min > 1000 {
        problems.add(format!("{path}.min"), slot.min, "0 to 1000");
    }
    if let Some(title) = &slot.title {
        problems.line(&format!("{path}.title"), title, 80);
    }
}

fn check_type(problems: &mut Problems, path: &str, kind: ThingKind, name: &Slug, known: &KnownTypes) {
    let (word, other) = match kind {
        ThingKind::Sensor => ("sensor", "device"),
        ThingKind::Device => ("device", "sensor"),
    };
    match known.get(name) {
        Some(found) if *found == kind => {}
        Some(_) => problems.add(
            format!("{path}.{word}"),
            format!("`{name}`, which is a {other} type"),
            format!("a {word} type; to ask for it, write `\"{other}\": \"{name}\"`"),
        ),
        None => {
            let names = known
                .iter()
                .filter(|(_, found)| **found == kind)
                .map(|(name, _)| name.as_str());
            let found = format!("the unknown {word} type `{name}`");
            problems.add(format!("{path}.{word}"), found, one_of(name.as_str(), names));
        }
    }
}

/// Checks what a parameter of a manifest or an argument of a device's command says about itself; paths begin below it.
#[must_use]
pub fn check_parameter(parameter: &Parameter) -> Vec<Problem> {
    let mut problems = Problems::default();
    let numeric = matches!(parameter.kind, ParameterKind::Number | ParameterKind::Integer);
    for (name, bound) in [("minimum", parameter.minimum), ("maximum", parameter.maximum)] {
        match bound {
            Some(bound) if !numeric => problems.add(name, bound, "only with type `number` or `integer`"),
            Some(bound) if !bound.is_finite() => problems.add(name, bound, "a finite number"),
            _ => {}
        }
    }
    if let (Some(minimum), Some(maximum)) = (parameter.minimum, parameter.maximum)
        && minimum > maximum
    {
        problems.add("minimum", minimum, format!("at most {maximum}, which is `maximum`"));
    }
    check_choices(&mut problems, parameter);
    if let Some(title) = &parameter.title {
        problems.line("title", title, 80);
    }
    if let Some(unit) = &parameter.unit {
        problems.line("unit", unit, 20);
    }
    if let Some(default) = &parameter.default
        && problems.0.is_empty()
        && !parameters::fits(parameter, default)
    {
        problems.add("default", parameters::found(default), parameters::allowed(parameter));
    }
    problems.0
}

fn check_choices(problems: &mut Problems, parameter: &Parameter) {
    if parameter.kind != ParameterKind::Choice {
        if !parameter.choices.is_empty() {
            problems.add(
                "choices",
                format!("{} choices", parameter.choices.len()),
                "only with type `choice`",
            );
        }
        return;
    }
    if !(1..=100).contains(&parameter.choices.len()) {
        problems.add("choices", format!("{} choices", parameter.choices.len()), "1 to 100");
    }
    let mut seen = BTreeSet::new();
    for (index, choice) in parameter.choices.iter().enumerate() {
        problems.line(&format!("choices[{index}]"), choice, 80);
        if !seen.insert(choice) {
            problems.add(
                format!("choices[{index}]"),
                format!("{} again", shown(choice)),
                "each choice once",
            );
        }
    }
}

fn check_page(problems: &mut Problems, page: &Page) {
    if page.port < 1024 {
        problems.add(
            "page.port",
            page.port,
            "1024 to 65535, because applications do not run as root",
        );
    }
    if let Some(health) = &page.health {
        let fits = health.starts_with('/')
            && !health.starts_with("//")
            && health.len() <= 200
            && health.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            problems.add(
                "page.health",
                shown(health),
                "a path such as /healthz, at most 200 characters",
            );
        }
    }
}

fn check_resources(problems: &mut Problems, resources: Resources, limits: &Limits) {
    let most = limits.application_memory_mib;
    if !(LEAST_MEMORY_MIB..=most).contains(&resources.memory_mib) {
        let allowed = format!("{LEAST_MEMORY_MIB} to {most} on this installation");
        problems.add("resources.memory_mib", resources.memory_mib, allowed);
    }
    let most = limits.application_cpus;
    if !(LEAST_CPUS..=most).contains(&resources.cpus) {
        let allowed = format!("{LEAST_CPUS} to {most} on this installation");
        problems.add("resources.cpus", resources.cpus, allowed);
    }
}

#[cfg(test)]
mod tests;

//! Whether values fit parameters: of a manifest's end user, or arguments of a device's command.

use std::collections::BTreeMap;

use super::problem::{Problem, one_of, shown};
use crate::manifest::{Parameter, ParameterKind, Value, Values};

/// Longest text, in bytes.
pub const LONGEST_TEXT: usize = 4096;

/// Largest whole number that every reader of JSON keeps exactly.
const LARGEST_INTEGER: f64 = 9_007_199_254_740_991.0;

/// Checks the values that were given and adds the defaults of those that were not.
///
/// # Errors
/// Every problem; a path is the name of the parameter.
pub fn check(parameters: &BTreeMap<String, Parameter>, given: &Values) -> Result<Values, Vec<Problem>> {
    let mut problems: Vec<Problem> = given
        .keys()
        .filter(|name| !parameters.contains_key(*name))
        .map(|name| {
            let known = one_of(name, parameters.keys().map(String::as_str));
            Problem::new(name.as_str(), format!("the unknown name {}", shown(name)), known)
        })
        .collect();
    let mut values = Values::new();
    for (name, parameter) in parameters {
        match given.get(name).or(parameter.default.as_ref()) {
            None => problems.push(Problem::new(
                name.as_str(),
                "nothing",
                format!("{}; it must be given", allowed(parameter)),
            )),
            Some(value) if fits(parameter, value) => {
                values.insert(name.clone(), value.clone());
            }
            Some(value) => problems.push(Problem::new(name.as_str(), found(value), allowed(parameter))),
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

/// Whether one value fits.
#[must_use]
pub fn fits(parameter: &Parameter, value: &Value) -> bool {
    match (parameter.kind, value) {
        (ParameterKind::Number, Value::Number(number)) => within(parameter, *number),
        (ParameterKind::Integer, Value::Number(number)) => {
            number.fract() == 0.0 && number.abs() <= LARGEST_INTEGER && within(parameter, *number)
        }
        (ParameterKind::String, Value::Text(text)) => text.len() <= LONGEST_TEXT && !text.contains('\0'),
        (ParameterKind::Boolean, Value::Boolean(_)) => true,
        (ParameterKind::Choice, Value::Text(text)) => parameter.choices.contains(text),
        _ => false,
    }
}

fn within(parameter: &Parameter, number: f64) -> bool {
    number.is_finite()
        && parameter.minimum.is_none_or(|minimum| number >= minimum)
        && parameter.maximum.is_none_or(|maximum| number <= maximum)
}

/// Says in words what was found.
#[must_use]
pub fn found(value: &Value) -> String {
    match value {
        Value::Boolean(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("the text {}", shown(text)),
    }
}

/// Says in words what fits.
#[must_use]
pub fn allowed(parameter: &Parameter) -> String {
    let range = match (parameter.minimum, parameter.maximum) {
        (Some(minimum), Some(maximum)) => format!(" from {minimum} to {maximum}"),
        (Some(minimum), None) => format!(" of at least {minimum}"),
        (None, Some(maximum)) => format!(" of at most {maximum}"),
        (None, None) => String::new(),
    };
    match parameter.kind {
        ParameterKind::Number => format!("a number{range}"),
        ParameterKind::Integer => format!("a whole number{range}"),
        ParameterKind::String => format!("a text of at most {LONGEST_TEXT} bytes"),
        ParameterKind::Boolean => "true or false".to_owned(),
        ParameterKind::Choice => {
            let choices: Vec<String> = parameter.choices.iter().map(|choice| shown(choice)).collect();
            choices.join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> BTreeMap<String, Parameter> {
        serde_json::from_str(
            r#"{
                "threshold": {"type": "number", "default": 24, "minimum": -50, "maximum": 100},
                "count": {"type": "integer", "minimum": 1},
                "label": {"type": "string", "default": "Lab"},
                "on": {"type": "boolean", "default": false},
                "mode": {"type": "choice", "choices": ["eco", "boost"], "default": "eco"}
            }"#,
        )
        .unwrap()
    }

    fn values(json: &str) -> Values {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_was_not_given_has_its_default() {
        let checked = check(&parameters(), &values(r#"{"count": 3, "on": true}"#)).unwrap();
        assert_eq!(
            checked,
            values(r#"{"threshold": 24, "count": 3, "label": "Lab", "on": true, "mode": "eco"}"#)
        );
    }

    #[test]
    fn checking_what_was_checked_changes_nothing() {
        let once = check(&parameters(), &values(r#"{"count": 3}"#)).unwrap();
        assert_eq!(check(&parameters(), &once).unwrap(), once);
    }

    #[test]
    fn misfits_say_what_was_found_and_what_is_allowed() {
        let table = [
            (
                "{}",
                "count: found nothing; allowed: a whole number of at least 1; it must be given",
            ),
            (
                r#"{"count":1,"treshold":3}"#,
                "treshold: found the unknown name `treshold`; allowed: did you mean `threshold`? known are `count`, `label`, `mode`, `on`, `threshold`",
            ),
            (
                r#"{"count":1.5}"#,
                "count: found 1.5; allowed: a whole number of at least 1",
            ),
            (
                r#"{"count":0}"#,
                "count: found 0; allowed: a whole number of at least 1",
            ),
            (r#"{"count":1e300}"#, "allowed: a whole number of at least 1"),
            (
                r#"{"count":"3"}"#,
                "count: found the text `3`; allowed: a whole number of at least 1",
            ),
            (
                r#"{"count":1,"threshold":101}"#,
                "threshold: found 101; allowed: a number from -50 to 100",
            ),
            (r#"{"count":1,"on":1}"#, "on: found 1; allowed: true or false"),
            (
                r#"{"count":1,"label":true}"#,
                "label: found true; allowed: a text of at most 4096 bytes",
            ),
            (r#"{"count":1,"label":"a\u0000b"}"#, "label: found the text `a\\u{0}b`"),
            (
                r#"{"count":1,"mode":"turbo"}"#,
                "mode: found the text `turbo`; allowed: `eco`, `boost`",
            ),
        ];
        for (given, expected) in table {
            let problems = check(&parameters(), &values(given)).expect_err(given);
            let said = super::super::problem::listed(&problems);
            assert!(said.contains(expected), "{given}\n  said: {said}\n  wanted: {expected}");
            assert_eq!(problems.len(), 1, "{given}: {said}");
        }
    }

    #[test]
    fn every_problem_is_said() {
        let problems = check(&parameters(), &values(r#"{"a": 1, "b": 2, "mode": "x"}"#)).unwrap_err();
        assert_eq!(problems.len(), 4);
    }
}

use super::*;
use crate::rules::problem::listed;

/// The manifest of ARCHITECTURE.md.
const GOOD: &str = r#"{
  "manifest": 1, "name": "room-comfort", "title": "Room comfort", "version": "1.0.0", "description": "…",
  "runtime": { "python": "3" }, "start": ["python", "main.py"], "kind": "service",
  "slots": {
    "temperature": { "sensor": "temperature", "min": 1, "max": null, "title": "Temperatures" },
    "fan": { "device": "fan", "min": 1, "max": 1 }
  },
  "parameters": { "threshold": { "type": "number", "title": "Switch on above", "default": 24, "minimum": -50, "maximum": 100, "unit": "Cel" } },
  "page": { "port": 8080, "health": "/healthz" },
  "resources": { "memory_mib": 128, "cpus": 0.25 }, "stop_timeout_seconds": 10, "replicas": 1
}"#;

/// The good manifest with another value at a pointer; the word `remove` takes it away.
fn with(pointer: &str, value: &str) -> String {
    let mut manifest: serde_json::Value = serde_json::from_str(GOOD).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let object = manifest.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value == "remove" {
        object.remove(key);
    } else {
        object.insert(key.to_owned(), serde_json::from_str(value).unwrap());
    }
    manifest.to_string()
}

fn known() -> KnownTypes {
    [
        ("temperature", ThingKind::Sensor),
        ("humidity", ThingKind::Sensor),
        ("fan", ThingKind::Device),
    ]
    .into_iter()
    .map(|(name, kind)| (name.parse().unwrap(), kind))
    .collect()
}

fn said(json: &str) -> String {
    match parse(json) {
        Ok(manifest) => listed(&check(&manifest, &Limits::default(), Some(&known()))),
        Err(problems) => listed(&problems),
    }
}

#[test]
fn the_documented_manifest_is_good() {
    assert_eq!(said(GOOD), "");
    assert_eq!(said(&format!("\u{feff}{GOOD}")), "");
    let small = r#"{"manifest":1,"name":"a","title":"A","version":"0.1.0","runtime":{"python":"3"},"start":["x"]}"#;
    assert_eq!(said(small), "");
}

#[test]
fn texts_that_are_no_manifest() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let table = [
        ("", "app.json: found an empty file; allowed: a JSON object"),
        ("[]", "app.json: found a list; allowed: an object"),
        (
            "{",
            "app.json line 1 column 1: found EOF while parsing an object; allowed: JSON",
        ),
        ("{} x", "app.json line 1 column 4: found trailing characters"),
        (r#"{"manifest": 1e999}"#, "found number out of range"),
        (r#"{"a": NaN}"#, "app.json line 1 column 7: found expected value"),
        (deep.as_str(), "at most 16 levels of nesting"),
        (
            r#"{"name":"a","name":"b"}"#,
            "name: found the key `name` again; allowed: each key once",
        ),
        (
            r#"{"slots":{"a":{"sensor":"x"},"a":{"sensor":"y"}}}"#,
            "slots.a: found the key `a` again; allowed: each key once",
        ),
        (
            &" ".repeat(LARGEST + 1),
            "app.json: found 262145 bytes; allowed: at most 262144 bytes",
        ),
    ];
    for (json, expected) in table {
        let said = said(json);
        assert!(
            said.contains(expected),
            "{:.60}\n  said: {said}\n  wanted: {expected}",
            json
        );
    }
}

#[test]
fn values_that_do_not_fit_say_where_and_what_is_allowed() {
    let table = [
        // Reading.
        (
            "/titel",
            r#""x""#,
            "titel: found the unknown field `titel`; allowed: did you mean `title`? known are `manifest`",
        ),
        ("/title", "remove", "title: found nothing; allowed: it is required"),
        ("/title", "7", "title: found 7; allowed: a text"),
        (
            "/name",
            r#""Room Comfort""#,
            "name: found the text `Room Comfort`; allowed: 1 to 40 lower-case letters",
        ),
        (
            "/version",
            r#""1.0""#,
            "version: found the text `1.0`; allowed: a version such as 1.2.3",
        ),
        (
            "/runtime",
            r#"{"node":"20"}"#,
            "runtime: found `node`; allowed: `python`",
        ),
        ("/runtime", r#"{"python":"2"}"#, "found `2`; allowed: `3`"),
        ("/runtime", "3", "runtime: found 3; allowed: an object such as"),
        (
            "/start",
            r#""python main.py""#,
            "start: found the text `python main.py`; allowed: a list",
        ),
        (
            "/kind",
            r#""servce""#,
            "kind: found `servce`; allowed: did you mean `service`?",
        ),
        (
            "/slots/fan/mni",
            "1",
            "slots.fan.mni: found the unknown field `mni`; allowed: did you mean `min`?",
        ),
        (
            "/slots/fan/min",
            "-1",
            "slots.fan.min: found -1; allowed: a whole number, not negative",
        ),
        (
            "/page/port",
            "70000",
            "page.port: found 70000; allowed: a whole number from 0 to 65535",
        ),
        (
            "/page/port",
            r#""80""#,
            "page.port: found the text `80`; allowed: a whole number from 0 to 65535",
        ),
        (
            "/parameters/threshold/default",
            "[1]",
            "parameters.threshold.default: found a list; allowed: true, false, a number or a text",
        ),
        (
            "/parameters/threshold/type",
            r#""float""#,
            "parameters.threshold.type: found `float`; allowed: `number`",
        ),
        (
            "/resources/cpus",
            r#""1""#,
            "resources.cpus: found the text `1`; allowed: a number",
        ),
        // Checking.
        ("/manifest", "2", "manifest: found 2; allowed: 1"),
        ("/title", r#""  ""#, "title: found `  `; allowed: one line of 1 to 80"),
        (
            "/title",
            r#""a\nb""#,
            "title: found `a\\nb`; allowed: one line of 1 to 80",
        ),
        (
            "/version",
            r#""1.0.0+build""#,
            "version: found `1.0.0+build`; allowed: a version such as",
        ),
        ("/start", "[]", "start: found an empty list; allowed: the program"),
        (
            "/start",
            r#"[" "]"#,
            "start[0]: found ` `; allowed: the name of a program",
        ),
        (
            "/slots/Fan",
            r#"{"device":"fan"}"#,
            "slots: found the name `Fan`; allowed: 1 to 40",
        ),
        (
            "/slots/fan/sensor",
            r#""temperature""#,
            "slots.fan: found both `sensor` and `device`; allowed: exactly one",
        ),
        (
            "/slots/fan/device",
            "remove",
            "slots.fan: found neither `sensor` nor `device`; allowed: exactly one",
        ),
        (
            "/slots/fan/min",
            "2",
            "slots.fan.min: found 2; allowed: at most 1, which is `max`",
        ),
        ("/slots/fan/max", "0", "slots.fan.max: found 0; allowed: 1 or more"),
        (
            "/slots/fan/device",
            r#""fna""#,
            "slots.fan.device: found the unknown device type `fna`; allowed: did you mean `fan`?",
        ),
        (
            "/slots/fan/device",
            r#""humidity""#,
            "slots.fan.device: found `humidity`, which is a sensor type",
        ),
        (
            "/parameters/a b",
            r#"{"type":"string"}"#,
            "parameters: found the name `a b`",
        ),
        (
            "/parameters/threshold/default",
            "200",
            "parameters.threshold.default: found 200; allowed: a number from -50 to 100",
        ),
        (
            "/parameters/threshold/minimum",
            "101",
            "parameters.threshold.minimum: found 101; allowed: at most 100",
        ),
        (
            "/parameters/threshold/choices",
            r#"["a"]"#,
            "parameters.threshold.choices: found 1 choices; allowed: only with type `choice`",
        ),
        (
            "/parameters/m",
            r#"{"type":"choice"}"#,
            "parameters.m.choices: found 0 choices; allowed: 1 to 100",
        ),
        (
            "/parameters/m",
            r#"{"type":"choice","choices":["a","a"]}"#,
            "parameters.m.choices[1]: found `a` again",
        ),
        (
            "/parameters/m",
            r#"{"type":"string","minimum":1}"#,
            "parameters.m.minimum: found 1; allowed: only with type",
        ),
        ("/page/port", "80", "page.port: found 80; allowed: 1024 to 65535"),
        (
            "/page/health",
            r#""healthz""#,
            "page.health: found `healthz`; allowed: a path",
        ),
        (
            "/resources/memory_mib",
            "4096",
            "resources.memory_mib: found 4096; allowed: 16 to 1024",
        ),
        ("/resources/cpus", "0", "resources.cpus: found 0; allowed: 0.01 to 2"),
        (
            "/stop_timeout_seconds",
            "0",
            "stop_timeout_seconds: found 0; allowed: 1 to 300",
        ),
        ("/replicas", "11", "replicas: found 11; allowed: 1 to 10"),
    ];
    for (pointer, value, expected) in table {
        let said = said(&with(pointer, value));
        assert!(
            said.contains(expected),
            "{pointer} = {value}\n  said: {said}\n  wanted: {expected}"
        );
        assert_eq!(said.matches("; allowed: ").count(), 1, "one problem only: {said}");
    }
}

#[test]
fn a_task_runs_once() {
    let mut manifest = parse(GOOD).unwrap();
    manifest.kind = Kind::Task;
    manifest.replicas = 2;
    assert!(listed(&check(&manifest, &Limits::default(), None)).starts_with("replicas: found 2; allowed: 1,"));
}

#[test]
fn types_are_checked_only_against_a_list() {
    let manifest = parse(&with("/slots/fan/device", r#""unheard-of""#)).unwrap();
    assert_eq!(check(&manifest, &Limits::default(), None), []);
}

#[test]
fn the_schema_names_every_field_and_refuses_others() {
    let schema = schema().to_value();
    let fields = schema["properties"].as_object().unwrap();
    let manifest = serde_json::to_value(parse(GOOD).unwrap()).unwrap();
    for field in manifest.as_object().unwrap().keys() {
        assert!(fields.contains_key(field), "{field}");
    }
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(
        schema["required"],
        serde_json::json!(["manifest", "name", "title", "version", "runtime", "start"])
    );
}

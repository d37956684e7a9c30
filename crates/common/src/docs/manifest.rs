//! The reference of `app.json` that `docs/manifest.md` holds: made of the schema, so that it cannot say anything else.

use std::fmt::Write as _;

use serde_json::Value;

use super::tables::Tables;
use crate::manifest::Parameter;
use crate::rules::manifest::{check, check_parameter, parse, schema};
use crate::settings::Limits;

const ROOM_COMFORT: &str = include_str!("../../../../sdk/examples/room-comfort/app.json");
const DAILY_REPORT: &str = include_str!("../../../../sdk/examples/daily-report/app.json");

const SMALLEST: &str = r#"{
  "manifest": 1,
  "name": "hello",
  "title": "Hello",
  "version": "1.0.0",
  "runtime": { "python": "3" },
  "start": ["python", "main.py"]
}"#;

const PARAMETERS: &str = r#"{
  "threshold": { "type": "number", "title": "Notify above", "default": 26, "minimum": -50, "maximum": 100, "unit": "Cel" },
  "hours": { "type": "integer", "title": "How far back", "default": 24, "minimum": 1, "maximum": 48, "unit": "h" },
  "greeting": { "type": "string", "title": "First words of the report" },
  "weekends": { "type": "boolean", "title": "Also at weekends", "default": false },
  "style": { "type": "choice", "title": "Style", "choices": ["short", "long"], "default": "short" }
}"#;

const BEGINNING: &str = "\
# The manifest: `app.json`

<!-- Made from the schema by `UPDATE_DOCS=1 cargo test -p common`; a test compares. Change `crates/common/src/manifest.rs` instead. -->

`app.json` lies at the root of the zip and says what an application is, what it needs, and what an end user may set. It never says which sensors: that is the end user's choice of a place.
It is JSON without comments, at most 256 KiB. A field that is not listed here, or is there twice, is refused: the answer to an upload names the path, what was found and what is allowed.
For editors there is the same as a JSON Schema: [manifest.schema.json](manifest.schema.json).

The smallest one:
";

/// An object of the schema, and what is said of it.
struct Section {
    title: &'static str,
    /// Its definition; none for the whole.
    definition: Option<&'static str>,
    example: Option<String>,
}

fn sections() -> Vec<Section> {
    let from = |field| Some(excerpt(ROOM_COMFORT, field));
    let section = |title, definition, example| Section {
        title,
        definition,
        example,
    };
    vec![
        section("The whole", None, None),
        section("runtime", Some("Runtime"), from("runtime")),
        section("slots", Some("Slot"), from("slots")),
        section(
            "parameters",
            Some("Parameter"),
            Some(format!("\"parameters\": {PARAMETERS}")),
        ),
        section("page", Some("Page"), from("page")),
        section("resources", Some("Resources"), from("resources")),
    ]
}

/// Returns the lines of a field as the sample has them.
fn excerpt(manifest: &str, field: &str) -> String {
    let begins = format!("  \"{field}\": ");
    let mut lines = manifest.lines().skip_while(|line| !line.starts_with(&begins));
    let first = lines.next().unwrap();
    let mut taken = vec![first];
    if first.ends_with('{') {
        let end = |line: &&str| line.starts_with("  }");
        taken.extend(lines.by_ref().take_while(|line| !end(line)));
        taken.push("  }");
    }
    let lines: Vec<&str> = taken.iter().map(|line| &line[2..]).collect();
    lines.join("\n").trim_end_matches(',').to_owned()
}

/// Returns the page.
fn page() -> String {
    let schema = Tables {
        whole: serde_json::to_value(schema()).unwrap(),
        sections: &[
            ("Slug", "[name](#names)"),
            ("Runtime", "[runtime](#runtime)"),
            ("Slot", "[slot](#slots)"),
            ("Parameter", "[parameter](#parameters)"),
            ("Page", "[page](#page)"),
            ("Resources", "[resources](#resources)"),
        ],
    };
    let mut page = format!(
        "{BEGINNING}\n```json\n{SMALLEST}\n```\n\nA whole one (`sdk/examples/room-comfort/app.json`):\n\n```json\n{ROOM_COMFORT}```\n"
    );
    for section in sections() {
        let object = section.definition.map_or(&schema.whole, |name| schema.definition(name));
        write!(page, "\n## {}\n\n", section.title).unwrap();
        let said = object["description"].as_str().filter(|_| section.definition.is_some());
        if let Some(said) = said {
            write!(page, "{said}\n\n").unwrap();
        }
        // The only runtime is one object; another one would be another table.
        let objects = match object["oneOf"].as_array() {
            Some(ways) if object["properties"].is_null() => ways.iter().collect(),
            _ => vec![object],
        };
        for object in objects {
            page.push_str(&schema.table(object));
        }
        if let Some(example) = section.example {
            write!(page, "\n```json\n{example}\n```\n").unwrap();
        }
    }
    let pattern = |schema: &Value| schema["pattern"].as_str().unwrap().to_owned();
    let (slug, slots) = (schema.definition("Slug"), &schema.whole["properties"]["slots"]);
    writeln!(
        page,
        "\n## Names\n\n- A *name*: `{}`, that is {}. The name of an application is also its address in the console; the names in `sensor` and `device` are types that the installation knows (console: *Types*).\n- A *key*: `{}`. Slots and parameters are called by it in the program.",
        pattern(slug),
        slug["description"].as_str().unwrap().rsplit(": ").next().unwrap().trim_end_matches('.'),
        pattern(&slots["propertyNames"])
    )
    .unwrap();
    page
}

#[test]
fn docs_hold_the_reference() {
    super::compare("manifest.md", &page());
    let schema = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    super::compare("manifest.schema.json", &schema);
}

/// What a guide tells the reader to write into a file.
fn files<'a>(guide: &'a str, name: &str) -> Vec<&'a str> {
    let begins = format!("cat > {name} <<'END'\n");
    let texts = guide.split(begins.as_str()).skip(1);
    texts.map(|text| text.split("\nEND\n").next().unwrap()).collect()
}

#[test]
fn manifests_of_the_guides_are_good() {
    let mut found = 0;
    for guide in ["getting-started.md", "applications.md"] {
        for manifest in files(&super::read(guide), "app.json") {
            assert_eq!(
                check(&parse(manifest).unwrap(), &Limits::default(), None),
                [],
                "{guide}"
            );
            found += 1;
        }
    }
    assert!(found > 0, "the guides have a manifest");
}

#[test]
fn every_object_of_the_schema_is_in_the_reference() {
    let schema = serde_json::to_value(schema()).unwrap();
    let told: Vec<&str> = sections().iter().filter_map(|section| section.definition).collect();
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        if definition["properties"].is_object() {
            assert!(told.contains(&name.as_str()), "{name} has no section");
        }
    }
}

#[test]
fn examples_are_good() {
    for example in [SMALLEST, ROOM_COMFORT, DAILY_REPORT] {
        let manifest = parse(example).unwrap();
        assert_eq!(check(&manifest, &Limits::default(), None), []);
    }
    let parameters: std::collections::BTreeMap<String, Parameter> = serde_json::from_str(PARAMETERS).unwrap();
    for (name, parameter) in parameters {
        assert_eq!(check_parameter(&parameter), [], "{name}");
    }
}

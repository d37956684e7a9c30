//! The committed description of the API is the one the handlers make.

use std::collections::BTreeMap;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

#[test]
fn the_committed_description_is_current() {
    let description = crate::api::description();
    let text = serde_json::to_string_pretty(&description).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    let committed = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        committed == text,
        "docs/openapi.json is not what the handlers say; run the test with UPDATE=1 and commit the file"
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_name() {
    let description = serde_json::to_value(crate::api::description()).unwrap();
    let text = description.to_string();
    let schemas = &description["components"]["schemas"];
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.get(name).is_some(), "{name} is described nowhere");
    }
    let mut names = BTreeMap::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            assert_eq!(
                names.insert(name.clone(), (method.clone(), path.clone())),
                None,
                "{name}"
            );
        }
    }
    assert_eq!(description["openapi"], "3.1.0");
}

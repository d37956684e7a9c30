//! `deploy/config.schema.json` is what editors use; it follows the types.

use std::path::Path;

use common::config::Config;

#[test]
fn schema_of_the_config_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config.schema.json");
    let schema = format!(
        "{}\n",
        serde_json::to_string_pretty(&schemars::schema_for!(Config)).unwrap()
    );
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == schema,
        "run `UPDATE=1 cargo test -p bootstrap` and commit deploy/config.schema.json"
    );
}

#[test]
fn the_shipped_config_is_the_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config.json");
    let shipped = Config::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let default = Config {
        schema: shipped.schema.clone(),
        hosts: shipped.hosts.clone(),
        ..Config::default()
    };
    assert_eq!(shipped, default);
}

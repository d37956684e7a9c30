use std::path::PathBuf;

use common::config::Config;
use hosts::Upload;

use super::*;

fn three() -> Config {
    Config::parse(
        r#"{"hosts": [
            {"name": "one", "connection": "ssh", "address": "192.0.2.1"},
            {"name": "two", "connection": "ssh", "address": "192.0.2.2"},
            {"name": "three", "connection": "ssh", "address": "node.example.org", "internal_address": "10.0.0.3"}
        ]}"#,
    )
    .unwrap()
}

fn payload() -> Payload {
    let upload = |name: &str| Upload {
        path: PathBuf::from(format!("/build/{name}")),
        sha256: format!("sha-of-{name}"),
    };
    Payload {
        programs: common::config::SERVICES
            .map(|name| (name.to_owned(), upload(name)))
            .into(),
        kafka: Some(upload("kafka.tar")),
        ferretdb: Some(upload("ferretdb")),
        sdk: Some(upload("sdk.tar")),
        base: None,
        dockerfile: "FROM x\n".to_owned(),
    }
}

fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    assert!(secrets.learn("token.key k\nhost.token t\nfirst-admin.password p\n"));
    secrets
}

fn of(config: &Config, index: usize) -> Vec<Staged> {
    items(&Inventory::new(config).unwrap(), index, &payload(), &secrets(), None)
}

#[test]
fn what_each_of_three_hosts_gets() {
    let config = three();
    let lists: Vec<String> = (0..3)
        .map(|index| {
            let list = of(&config, index);
            let lines: Vec<String> = list
                .iter()
                .map(|(stage, item)| format!("  {stage:?}: {}", item.name))
                .collect();
            format!("host {index}\n{}", lines.join("\n"))
        })
        .collect();
    insta::assert_snapshot!(lists.join("\n"));
}

#[test]
fn stages_come_in_order() {
    for index in 0..3 {
        let stages: Vec<Stage> = of(&three(), index).into_iter().map(|(stage, _)| stage).collect();
        assert!(stages.is_sorted(), "{stages:?}");
    }
}

#[test]
fn the_firewall_and_the_units_of_the_first_host() {
    let list = of(&three(), 0);
    let text = |end: &str| {
        list.iter().find_map(|(_, item)| match &item.kind {
            Kind::File {
                path,
                content: Content::Text(text),
                ..
            } if path.ends_with(end) => Some(text.clone()),
            Kind::Unit(unit) if unit.name == end => Some(unit.render()),
            _ => None,
        })
    };
    for end in [
        "network.sh",
        "settings.json",
        "iot-kafka",
        "iot-application-manager",
        "iot-agent",
    ] {
        insta::assert_snapshot!(format!("first_host_{end}"), text(end).unwrap());
    }
}

#[test]
fn no_secret_is_in_a_command_or_a_text() {
    for index in 0..3 {
        let shown = format!("{:?}", of(&three(), index));
        assert!(!shown.contains("\"k\"") && !shown.contains("Secret(\"p"), "{shown}");
    }
}

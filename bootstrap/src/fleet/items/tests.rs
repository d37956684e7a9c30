use std::path::PathBuf;

use common::config::Config;
use hosts::{PackageManager, Upload};

use super::*;
use crate::fleet::payload::Backup;

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

/// The same with a replica set.
fn three_with_mongod() -> Config {
    let mut config = three();
    config.mongodb.replication = 3;
    config
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
        registry: Some(upload("registry")),
        sdk: Some(upload("sdk.tar")),
        base: None,
        dockerfile: "FROM x\n".to_owned(),
        returns: false,
        backup: None,
    }
}

fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    assert!(secrets.learn(
        std::net::Ipv4Addr::LOCALHOST,
        "token.key k\nhost.token t\nkafka.id ABCD\nfirst-admin.password p\n"
    ));
    secrets
}

fn of(config: &Config, index: usize) -> Vec<Staged> {
    let inventory = Inventory::new(config).unwrap();
    let brokers = Brokers::number(&inventory, &[]);
    let seen = Seen {
        gate: None,
        brokers: &brokers,
        database: Some(inventory.of(common::config::Role::Mongodb)),
        known_hosts: "192.0.2.1 ssh-ed25519 AAAA\n",
    };
    items(&inventory, index, &payload(), &secrets(), seen)
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
fn packages_of_every_system_that_is_known() {
    let config = three();
    let needs = of(&config, 0).into_iter().find_map(|(_, item)| match item.kind {
        Kind::Packages(needs) => Some(needs),
        _ => None,
    });
    let scripts: Vec<String> = [PackageManager::Apt, PackageManager::Amazon, PackageManager::RedHat]
        .map(|manager| format!("## {manager:?}\n{}", manager.install(needs.as_ref().unwrap())))
        .into();
    insta::assert_snapshot!(scripts.join("\n"));
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

#[test]
fn only_releases_that_are_long_gone_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = three();
    config.data_dir = folder.path().to_owned();
    let releases = folder.path().join("releases");
    let version = payload().version();
    // The one in use is the oldest, as after a way back.
    for (age, name) in [version.as_str(), "a1", "b2", "c3", "d4"].into_iter().enumerate() {
        let made = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 + 1000 * age as u64);
        std::fs::create_dir_all(releases.join(name)).unwrap();
        std::fs::write(releases.join(name).join("scheduler"), name).unwrap();
        let mark = std::fs::File::create(releases.join(name).join(".used")).unwrap();
        mark.set_modified(made).unwrap();
    }
    // Half of one that was never in use.
    std::fs::create_dir_all(releases.join("e5")).unwrap();
    std::os::unix::fs::symlink(&version, releases.join("current")).unwrap();
    let list = of(&config, 1);
    let (check, make) = list
        .iter()
        .find_map(|(_, item)| match &item.kind {
            Kind::State { check, make, .. } if item.name == "no old releases" => Some((check, make)),
            _ => None,
        })
        .unwrap();
    let runs = |script: &str| {
        std::process::Command::new("bash")
            .args(["-c", script])
            .status()
            .unwrap()
            .success()
    };
    assert!(!runs(check));
    assert!(runs(make));
    assert!(runs(check));
    let mut left: Vec<String> = std::fs::read_dir(&releases)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    let mut wanted = vec![version.clone(), "c3".to_owned(), "d4".to_owned(), "current".to_owned()];
    wanted.sort();
    assert_eq!(left, wanted);
    assert!(releases.join("current/scheduler").exists());
}

#[test]
fn the_database_of_a_backup_is_filled_before_anybody_serves_it() {
    let inventory = Inventory::new(&three()).unwrap();
    let (brokers, secrets) = (Brokers::number(&inventory, &[]), secrets());
    let seen = Seen {
        gate: None,
        brokers: &brokers,
        database: Some(inventory.of(common::config::Role::Mongodb)),
        known_hosts: "",
    };
    let backup = Backup {
        id: "b".to_owned(),
        dump: Some(Upload {
            path: PathBuf::from("/tmp/database"),
            sha256: "d".to_owned(),
        }),
    };
    let names = |payload: &Payload| -> Vec<String> {
        let all = items(&inventory, 0, payload, &secrets, seen);
        all.into_iter().map(|(_, item)| item.name).collect()
    };
    let (with, without) = (
        names(&Payload {
            backup: Some(backup),
            ..payload()
        }),
        names(&payload()),
    );
    let at = |name: &str| with.iter().position(|other| other == name).unwrap();
    assert!(at("ferretdb's database") < at("database of the backup"));
    assert!(at("database of the backup") < at("unit iot-ferretdb"));
    let more: Vec<&String> = with.iter().filter(|name| !without.contains(name)).collect();
    assert_eq!(more, ["mark of the backup", "database of the backup"]);
}

#[test]
fn with_real_mongodb_the_plan_renders_a_replica_set() {
    let config = three_with_mongod();
    let about =
        |item: &Item| item.name.contains("mongo") || item.name.contains("ferret") || item.name.contains("postgres");
    let lists: Vec<String> = (0..3)
        .map(|index| {
            let list = of(&config, index);
            let of_mongodb = list.iter().filter(|(_, item)| about(item));
            let lines: Vec<String> = of_mongodb
                .map(|(stage, item)| format!("  {stage:?}: {}", item.name))
                .collect();
            format!("host {index}\n{}", lines.join("\n"))
        })
        .collect();
    insta::assert_snapshot!("replica_set_what_each_host_gets", lists.join("\n"));

    let first = of(&config, 0);
    let text = |end: &str| {
        first.iter().find_map(|(_, item)| match &item.kind {
            Kind::File {
                path,
                content: Content::Text(text) | Content::Secret(text),
                ..
            } if path.ends_with(end) => Some(text.clone()),
            Kind::Unit(unit) if unit.name == end => Some(unit.render()),
            Kind::State { check, make, .. } if item.name == end => Some(format!("{check}\n{make}\n")),
            _ => None,
        })
    };
    for (name, end) in [
        ("settings", "mongod.conf"),
        ("unit", "iot-mongodb"),
        ("script", "mongodb-set.js"),
        ("accounts", "mongodb's replica set and accounts"),
    ] {
        insta::assert_snapshot!(format!("replica_set_{name}"), text(end).unwrap());
    }
    let settings = text("settings.json").unwrap();
    let wanted = "mongodb://192.0.2.1:27017,192.0.2.2:27017,10.0.0.3:27017/?replicaSet=iot";
    assert!(settings.contains(wanted), "{settings}");
}

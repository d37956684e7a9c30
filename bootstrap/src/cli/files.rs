//! Commands that need no installation: a first `config.json`, its check, its schema, completion for shells.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use common::config::Config;
use serde_json::{Value, json};

use super::{Arguments, show, show_json};
use crate::failure::{Exit, Failure};
use crate::fleet::Fleet;
use crate::options::Options;

/// What a first `config.json` is made of.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) addresses: Vec<String>,
    pub(super) user: Option<String>,
    pub(super) key: Option<PathBuf>,
    pub(super) stack_outputs: Option<PathBuf>,
}

/// Writes a `config.json`; one that is there stays.
pub(super) fn init(path: &Path, wanted: &Wanted) -> Result<(), Failure> {
    if path.exists() {
        let message = format!(
            "{} is there already; name another file with --config, or remove it",
            path.display()
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let config = match &wanted.stack_outputs {
        Some(file) => from_outputs(&read(file)?, wanted)?,
        None => first(&wanted.addresses, wanted),
    };
    let text = commented(&format!("{config:#}\n"));
    Config::parse(&text).map_err(|error| Failure::new(Exit::Config, format!("this would not be valid {error}")))?;
    std::fs::write(path, text)
        .map_err(|error| Failure::new(Exit::Failed, format!("could not write {}: {error}", path.display())))?;
    show(&format!(
        "wrote {}; look at it, then: `bootstrap validate`, `bootstrap trust`, `bootstrap plan`, `bootstrap up`",
        path.display()
    ));
    Ok(())
}

/// What a first `config.json` says beside its settings, by the setting.
const COMMENTS: [(&str, &str); 8] = [
    (
        "$schema",
        "Editors complete and check this file with it. Everything has a default; `bootstrap validate` says what it means.",
    ),
    (
        "name",
        "Begins the names of all that is made: topics, database, containers, units. Keep it.",
    ),
    ("data_dir", "Everything of the installation lies here."),
    (
        "hosts",
        "What runs where is decided by itself; `services` of a host says otherwise. `internal_address`: where the other hosts reach it.",
    ),
    (
        "ssh",
        "Who signs in, with which key; a host may have its own. The user needs sudo without a password.",
    ),
    (
        "kafka",
        "3: no acknowledged reading is lost when a broker dies. It is chosen once.",
    ),
    (
        "console",
        "Where people open the console, and the pages of applications. For https add `tls` with `certificate` and `key`.",
    ),
    (
        "api_version",
        "More, each with a default: `limits`, `ports`, `copies`, `recovery`, `smtp`, `secrets`, `mongodb`, `tls`; see docs/operations.md and the schema.",
    ),
];

/// A comment above each setting that has one.
fn commented(config: &str) -> String {
    let mut text = String::new();
    for line in config.lines() {
        let setting = line.strip_prefix("  \"").and_then(|rest| rest.split('"').next());
        if let Some((_, comment)) = COMMENTS.iter().find(|(name, _)| Some(*name) == setting) {
            text.push_str(&format!("  // {comment}\n"));
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn read(file: &Path) -> Result<Value, Failure> {
    let unreadable = |error: String| Failure::new(Exit::Usage, format!("could not read {}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| unreadable(format!("it is no JSON ({error})")))
}

/// A config for hosts at addresses, or for this machine.
fn first(addresses: &[String], wanted: &Wanted) -> Value {
    let hosts: Vec<Value> = addresses
        .iter()
        .enumerate()
        .map(|(index, address)| match address.split_once('=') {
            Some((address, internal)) => {
                json!({ "name": name(index), "connection": "ssh", "address": address, "internal_address": internal })
            }
            None => json!({ "name": name(index), "connection": "ssh", "address": address }),
        })
        .collect();
    let mut config = json!({
        "$schema": "./deploy/config.schema.json",
        "api_version": "v1",
        "name": "iot",
        "data_dir": "/var/lib/iot",
        "hosts": [{ "connection": "local" }],
        "console": { "port": 80, "applications_port": 8081 },
    });
    if !hosts.is_empty() {
        let key = wanted.key.clone().unwrap_or_else(|| PathBuf::from("~/.ssh/iot.pem"));
        config["ssh"] = json!({ "user": wanted.user.as_deref().unwrap_or("ec2-user"), "key": key });
        // Three brokers lose nothing when one of them dies; that can only be chosen now.
        config["kafka"] = json!({ "replication": if hosts.len() >= 3 { 3 } else { 1 } });
        config["hosts"] = hosts.into();
    }
    config
}

/// `a`, `b`, … as in the guide; `host-27` after `z`.
fn name(index: usize) -> String {
    let letter = u8::try_from(index).ok().filter(|index| *index < 26);
    letter.map_or_else(
        || format!("host-{}", index + 1),
        |index| char::from(b'a' + index).to_string(),
    )
}

/// A config from what `aws cloudformation describe-stacks` prints, or its list of outputs.
fn from_outputs(said: &Value, wanted: &Wanted) -> Result<Value, Failure> {
    let outputs = said["Stacks"][0]["Outputs"].as_array().or_else(|| said.as_array());
    let outputs = outputs.ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            "no outputs in it; make it with: aws cloudformation describe-stacks --stack-name NAME > FILE",
        )
    })?;
    let value = |key: &str| {
        let output = outputs.iter().find(|output| output["OutputKey"] == key);
        output.and_then(|output| output["OutputValue"].as_str())
    };
    let list = |key: &str| -> Result<Vec<String>, Failure> {
        let text = value(key)
            .ok_or_else(|| Failure::new(Exit::Usage, format!("no output `{key}`; is the stack of deploy/aws?")))?;
        Ok(text.split(',').map(|part| part.trim().to_owned()).collect())
    };
    let (public, private) = (list("PublicAddresses")?, list("PrivateAddresses")?);
    if public.len() != private.len() {
        return Err(Failure::new(
            Exit::Usage,
            "as many public as private addresses are needed",
        ));
    }
    let addresses: Vec<String> = public
        .iter()
        .zip(&private)
        .map(|(public, private)| format!("{public}={private}"))
        .collect();
    let user = wanted.user.clone().or_else(|| value("User").map(str::to_owned));
    Ok(first(&addresses, &Wanted { user, ..wanted.clone() }))
}

/// Says whether a config is valid, and what it means.
pub(super) fn validate(config: Config, options: Options, path: &Path, json: bool) -> Result<(), Failure> {
    let name = config.name.clone();
    let fleet = config.is_remote().then(|| Fleet::new(config, options)).transpose()?;
    let placement = fleet.as_ref().map(Fleet::placement).unwrap_or_default();
    if json {
        let hosts: Vec<Value> = placement
            .iter()
            .map(|(host, roles)| json!({ "host": host, "roles": roles }))
            .collect();
        return show_json(&json!({ "valid": true, "name": name, "hosts": hosts }));
    }
    let place = match &fleet {
        Some(fleet) => format!("{} hosts", fleet.len()),
        None => "this machine".to_owned(),
    };
    show(&format!("{} is valid: `{name}` on {place}", path.display()));
    for (host, roles) in placement {
        show(&format!("{host:<16} {}", roles.join(", ")));
    }
    Ok(())
}

/// Prints the JSON Schema of `config.json`.
pub(super) fn schema() {
    show(include_str!("../../../deploy/config.schema.json"));
}

/// Prints what makes a shell complete the command.
pub(super) fn completion(shell: clap_complete::Shell) {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "bootstrap", &mut text);
    if std::io::stdout().write_all(&text).is_err() {
        // Nobody reads.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_config_for_hosts() {
        let wanted = Wanted {
            key: Some("/keys/iot.pem".into()),
            ..Wanted::default()
        };
        let addresses = [
            "203.0.113.11=10.0.0.11",
            "203.0.113.12=10.0.0.12",
            "203.0.113.13=10.0.0.13",
        ];
        let config = first(&addresses.map(str::to_owned), &wanted);
        let text = commented(&format!("{config:#}"));
        Config::parse(&text).unwrap();
        insta::assert_snapshot!(text);
        Config::parse(&first(&[], &wanted).to_string()).unwrap();
    }

    #[test]
    fn a_config_from_the_outputs_of_a_stack() {
        let outputs = json!([
            { "OutputKey": "PublicAddresses", "OutputValue": "203.0.113.11, 203.0.113.12" },
            { "OutputKey": "PrivateAddresses", "OutputValue": "10.0.0.11, 10.0.0.12" },
            { "OutputKey": "User", "OutputValue": "admin" },
        ]);
        let config = from_outputs(&json!({ "Stacks": [{ "Outputs": outputs }] }), &Wanted::default()).unwrap();
        assert_eq!(config, from_outputs(&outputs, &Wanted::default()).unwrap());
        let config = Config::parse(&config.to_string()).unwrap();
        assert_eq!(config.ssh.user.as_deref(), Some("admin"));
        assert_eq!(config.hosts[1].internal_address, Some("10.0.0.12".parse().unwrap()));
        assert!(from_outputs(&json!({}), &Wanted::default()).is_err());
        assert!(
            from_outputs(&json!([]), &Wanted::default())
                .unwrap_err()
                .message
                .contains("PublicAddresses")
        );
    }

    #[test]
    fn a_file_that_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        init(&path, &Wanted::default()).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert_eq!(init(&path, &Wanted::default()).unwrap_err().exit, Exit::Usage);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

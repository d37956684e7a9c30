//! What types can not say: names, paths, ports, limits. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Config, Connection, Host, Mode, Role, SecretName};
use crate::rules::problem::{in_words, nearest};
use crate::settings::{LEAST_INSTANCE_DAYS, Sasl};

/// Why `config.json` is refused: where, what was found, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {at}: {message}{}", .nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
pub struct ConfigError {
    /// JSON path, `(the file)` for the whole.
    pub at: String,
    /// What was found and what is allowed.
    pub message: String,
    /// The valid name that is closest to what was found.
    pub nearest: Option<String>,
}

impl ConfigError {
    fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            message: message.into(),
            nearest: None,
        }
    }
}

impl Config {
    /// Parses and checks the text of a `config.json`, which may have comments (`//` to the end of the line).
    ///
    /// # Errors
    /// The first thing that is wrong, with its JSON path.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let plain = super::comments::blanked(text);
        let mut deserializer = serde_json::Deserializer::from_str(&plain);
        let config: Self = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| from_serde(&error))?;
        deserializer
            .end()
            .map_err(|error| ConfigError::new("(the file)", format!("something follows the object: {error}")))?;
        config.check()?;
        Ok(config)
    }

    /// Checks what types cannot say.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_name(&self.name)?;
        check_data_dir(&self.data_dir)?;
        check_hosts(&self.hosts, self.brokers(), self.databases())?;
        if self.copies.is_some_and(|copies| copies == 0 || !self.is_remote()) {
            let message = "allowed: 1 or more, and only with hosts over SSH: on one machine everything runs once";
            return Err(ConfigError::new("copies", message));
        }
        self.check_infrastructure()?;
        self.check_accounts()?;
        self.check_ports()?;
        self.check_limits()
    }

    fn check_infrastructure(&self) -> Result<(), ConfigError> {
        let kafka = &self.kafka;
        match (kafka.mode, &kafka.brokers) {
            (Mode::External, None) => {
                return Err(ConfigError::new(
                    "kafka.brokers",
                    "missing; mode `external` needs `host:port`, comma separated",
                ));
            }
            (Mode::Managed, Some(_)) => {
                return Err(ConfigError::new(
                    "kafka.brokers",
                    "only with mode `external`; a managed broker's port is `ports.kafka`",
                ));
            }
            _ => {}
        }
        let hosts = self
            .hosts
            .iter()
            .filter(|host| host.connection == Connection::Ssh)
            .count();
        let managed = [1, 3].contains(&kafka.replication) && (kafka.replication == 1 || hosts >= 3);
        if kafka.replication < 1 || (kafka.mode == Mode::Managed && !managed) {
            let message = format!(
                "found {}, allowed: 1, or 3 with three hosts or more, for a managed Kafka",
                kafka.replication
            );
            return Err(ConfigError::new("kafka.replication", message));
        }
        let copies = self.mongodb.replication;
        let managed = self.mongodb.mode == Mode::Managed;
        if copies != 1 && !(managed && copies == 3 && hosts >= 3) {
            let message = format!("found {copies}, allowed: 1, or 3 with three hosts or more, for a managed MongoDB");
            return Err(ConfigError::new("mongodb.replication", message));
        }
        if kafka.heap_mib < 256 {
            return Err(ConfigError::new(
                "kafka.heap_mib",
                format!("found {}, allowed: 256 or more", kafka.heap_mib),
            ));
        }
        match (self.mongodb.mode, &self.mongodb.uri) {
            (Mode::External, None) => Err(ConfigError::new(
                "mongodb.uri",
                "missing; mode `external` needs a connection string",
            )),
            (Mode::External, Some(uri)) if !uri.starts_with("mongodb://") && !uri.starts_with("mongodb+srv://") => {
                Err(ConfigError::new(
                    "mongodb.uri",
                    "allowed: a connection string that begins with mongodb:// or mongodb+srv://",
                ))
            }
            (Mode::Managed, Some(_)) => Err(ConfigError::new(
                "mongodb.uri",
                "only with mode `external`; the managed one's port is `ports.mongodb`",
            )),
            _ => Ok(()),
        }
    }

    /// What only infrastructure that somebody else runs has: an account for all, and TLS that is chosen.
    fn check_accounts(&self) -> Result<(), ConfigError> {
        let (kafka, mongodb) = (&self.kafka, &self.mongodb);
        let all = [
            (
                "kafka",
                kafka.mode,
                kafka.username.is_some(),
                kafka.tls,
                kafka.ca.is_some(),
                SecretName::KafkaPassword,
            ),
            (
                "mongodb",
                mongodb.mode,
                mongodb.username.is_some(),
                mongodb.tls,
                mongodb.ca.is_some(),
                SecretName::MongodbPassword,
            ),
        ];
        for (name, mode, username, tls, ca, secret) in all {
            let brought = self.secrets.contains_key(&secret);
            if mode == Mode::Managed && (username || tls || ca || brought) {
                let message = "username, tls, ca and password are for mode `external`; a managed one has its own";
                return Err(ConfigError::new(name, message));
            }
            if username != brought {
                let message = format!("`{name}.username` and the secret `{name}.password` belong together");
                return Err(ConfigError::new("secrets", message));
            }
            if ca && !tls {
                return Err(ConfigError::new(format!("{name}.ca"), "only with `tls`"));
            }
        }
        if kafka.mode == Mode::Managed && kafka.mechanism != Sasl::default() {
            return Err(ConfigError::new("kafka.mechanism", "only with mode `external`"));
        }
        if kafka.mechanism == Sasl::Plain && !kafka.tls {
            let message = "PLAIN sends the password as it is; only with `kafka.tls`";
            return Err(ConfigError::new("kafka.mechanism", message));
        }
        Ok(())
    }

    fn check_ports(&self) -> Result<(), ConfigError> {
        if self.ports.admin > u16::MAX - 6 {
            let message = format!(
                "found {}, allowed: at most 65529, seven ports begin here",
                self.ports.admin
            );
            return Err(ConfigError::new("ports.admin", message));
        }
        let mut taken: BTreeMap<u16, &str> = BTreeMap::new();
        for (at, port) in self.all_ports() {
            if port == 0 {
                return Err(ConfigError::new(at, "found 0, allowed: 1 to 65535"));
            }
            if let Some(other) = taken.insert(port, at) {
                let message = format!("{port} is also {other}; choose another (ports.admin takes seven)");
                return Err(ConfigError::new(at, message));
            }
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let counts = [
            ("limits.bundle_mib", limits.bundle_mib),
            ("limits.unpacked_mib", limits.unpacked_mib),
            ("limits.bundle_entries", limits.bundle_entries as u64),
            ("limits.application_memory_mib", limits.application_memory_mib),
            ("limits.history_hours", limits.history_hours),
            ("limits.instances", limits.instances as u64),
        ];
        if let Some((at, _)) = counts.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::new(at, "found 0, allowed: 1 or more"));
        }
        if limits.instance_days < LEAST_INSTANCE_DAYS {
            let message = format!("found {}, allowed: {LEAST_INSTANCE_DAYS} or more", limits.instance_days);
            return Err(ConfigError::new("limits.instance_days", message));
        }
        if !(limits.application_cpus > 0.0 && limits.application_cpus.is_finite()) {
            let message = format!("found {}, allowed: more than 0", limits.application_cpus);
            return Err(ConfigError::new("limits.application_cpus", message));
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), ConfigError> {
    let mut characters = name.chars();
    let good = characters.next().is_some_and(|first| first.is_ascii_lowercase())
        && characters.all(|next| next.is_ascii_lowercase() || next.is_ascii_digit() || next == '-')
        && name.len() <= 16
        && !name.ends_with('-');
    if good {
        return Ok(());
    }
    let message = format!("found {name:?}, allowed: a to z, then a to z, 0 to 9 or -, at most 16 characters");
    Err(ConfigError::new("name", message))
}

fn check_data_dir(data_dir: &Path) -> Result<(), ConfigError> {
    let plain = data_dir
        .components()
        .all(|part| matches!(part, std::path::Component::RootDir | std::path::Component::Normal(_)));
    let safe = data_dir.to_str().is_some_and(|text| {
        let usual = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
        text.chars().all(usual)
    });
    if data_dir.is_absolute() && plain && safe && data_dir.components().count() >= 3 {
        return Ok(());
    }
    let message = format!(
        "found {data_dir:?}, allowed: an absolute path at least two deep, of letters, digits, `.`, `_` and `-`, without `..`"
    );
    Err(ConfigError::new("data_dir", message))
}

fn check_hosts(hosts: &[Host], brokers: usize, databases: usize) -> Result<(), ConfigError> {
    let remote = hosts.iter().any(|host| host.connection == Connection::Ssh);
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (index, host) in hosts.iter().enumerate() {
        let at = |field: &str| format!("hosts[{index}].{field}");
        if host.connection == Connection::Local {
            if hosts.len() > 1 {
                let message = if remote {
                    "this machine cannot be one of many hosts; reach it over SSH, too"
                } else {
                    "this machine is one host; allowed: one host with connection `local`"
                };
                return Err(ConfigError::new(at("connection"), message));
            }
            if !host.ssh.is_empty() {
                return Err(ConfigError::new(at("ssh"), "only with connection `ssh`"));
            }
            if host.services.is_some() {
                return Err(ConfigError::new(
                    at("services"),
                    "only with connection `ssh`: on one machine everything runs",
                ));
            }
            continue;
        }
        check_remote(host, &at)?;
        let internal = host.internal_address.map(|address| address.to_string());
        for name in [host.name.clone(), host.address.clone(), internal]
            .into_iter()
            .flatten()
            .collect::<BTreeSet<_>>()
        {
            if let Some(other) = seen.insert(name.clone(), at("address")) {
                return Err(ConfigError::new(at("address"), format!("{name:?} is also at {other}")));
            }
        }
    }
    check_roles(hosts, brokers, databases)
}

fn check_remote(host: &Host, at: &dyn Fn(&str) -> String) -> Result<(), ConfigError> {
    let Some(address) = &host.address else {
        return Err(ConfigError::new(
            at("address"),
            "missing; a host over SSH needs a name or an address",
        ));
    };
    if host.internal_address.is_none() && address.parse::<std::net::Ipv4Addr>().is_err() {
        let message = format!("missing; {address:?} is a name, and hosts reach each other by an IPv4 address");
        return Err(ConfigError::new(at("internal_address"), message));
    }
    let form = |text: &String| text.strip_prefix("SHA256:").is_some_and(|rest| rest.len() == 43);
    if host.ssh.host_key.as_ref().is_some_and(|key| !form(key)) {
        return Err(ConfigError::new(
            at("ssh.host_key"),
            "allowed: SHA256: and 43 characters, as `ssh-keygen -l` prints it",
        ));
    }
    Ok(())
}

/// The registry runs once, brokers and databases as often as there are copies; a host that names nothing takes what is left.
fn check_roles(hosts: &[Host], brokers: usize, databases: usize) -> Result<(), ConfigError> {
    let mut named: BTreeMap<Role, usize> = BTreeMap::new();
    for (index, host) in hosts.iter().enumerate() {
        for role in host.services.iter().flatten() {
            let at = format!("hosts[{index}].services");
            let several = match role {
                Role::Kafka => brokers > 1,
                Role::Mongodb => databases > 1,
                role => Role::SERVICES.contains(role),
            };
            if let Some(other) = named.insert(*role, index)
                && (!several || other == index)
            {
                let message = format!(
                    "{} is also at hosts[{other}]; only services run more than once",
                    role.name()
                );
                return Err(ConfigError::new(at, message));
            }
            let managers = if hosts.len() >= 3 { 3 } else { 1 };
            if *role == Role::Deployer && index >= managers {
                let message = "the deployer needs a host that manages the swarm: of three or more the first three, of two the first";
                return Err(ConfigError::new(at, message));
            }
        }
    }
    for (role, wanted) in [(Role::Kafka, brokers), (Role::Mongodb, databases)] {
        let all = hosts.iter().flat_map(|host| host.services.iter().flatten());
        let naming = all.filter(|named| **named == role).count();
        if naming > 0 && naming != wanted {
            let name = role.name();
            let message =
                format!("`services` name {name} on {naming} of the hosts, and {name}.replication is {wanted}");
            return Err(ConfigError::new("hosts", message));
        }
    }
    let all = Role::INFRASTRUCTURE.iter().chain(&Role::SERVICES);
    let missing = all
        .filter(|role| !named.contains_key(role))
        .map(|role| role.name())
        .collect::<Vec<_>>();
    if !hosts.is_empty() && hosts.iter().all(|host| host.services.is_some()) && !missing.is_empty() {
        let message = format!(
            "nothing runs {}; name it at a host, or leave out `services` at one",
            missing.join(", ")
        );
        return Err(ConfigError::new("hosts", message));
    }
    Ok(())
}

/// Turns a parser's error into one for people.
fn from_serde(error: &serde_path_to_error::Error<serde_json::Error>) -> ConfigError {
    let inner = error.inner();
    let text = inner.to_string();
    let message = in_words(&text);
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let named = message.starts_with("unknown ");
    let nearest = names
        .split_first()
        .filter(|_| named)
        .and_then(|(found, allowed)| nearest(found, allowed.iter().copied()))
        .map(str::to_owned);
    let mut at = error.path().to_string();
    if at == "." {
        "(the file)".clone_into(&mut at);
    }
    if inner.is_syntax() || inner.is_eof() {
        return ConfigError::new(
            format!("line {} column {}", inner.line(), inner.column()),
            format!("not JSON: {message}"),
        );
    }
    ConfigError { at, message, nearest }
}

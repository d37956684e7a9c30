//! What types can not say: names, paths, ports, limits. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Config, Connection, Host, Mode};
use crate::settings::LEAST_INSTANCE_DAYS;

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
    /// Parses and checks the text of a `config.json`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its JSON path.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
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
        check_hosts(&self.hosts)?;
        self.check_infrastructure()?;
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
        if kafka.replication < 1 || (kafka.mode == Mode::Managed && kafka.replication != 1) {
            let message = format!("found {}, allowed: 1 on one managed broker", kafka.replication);
            return Err(ConfigError::new("kafka.replication", message));
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
    let safe = data_dir
        .to_str()
        .is_some_and(|text| !text.contains([' ', '%', ';', '"', '\'', '\n']));
    if data_dir.is_absolute() && plain && safe && data_dir.components().count() >= 3 {
        return Ok(());
    }
    let message = format!(
        "found {data_dir:?}, allowed: an absolute path at least two deep, without `..`, spaces, quotes, `%` or `;`"
    );
    Err(ConfigError::new("data_dir", message))
}

fn check_hosts(hosts: &[Host]) -> Result<(), ConfigError> {
    if let Some(index) = hosts.iter().position(|host| host.connection == Connection::Ssh) {
        let message = "many hosts are not available yet; allowed: one host with connection `local`, or no hosts at all";
        return Err(ConfigError::new(format!("hosts[{index}].connection"), message));
    }
    if hosts.len() > 1 {
        return Err(ConfigError::new(
            "hosts[1]",
            "many hosts are not available yet; allowed: one host",
        ));
    }
    Ok(())
}

/// Turns a parser's error into one for people.
fn from_serde(error: &serde_path_to_error::Error<serde_json::Error>) -> ConfigError {
    let inner = error.inner();
    let text = inner.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let named = message.starts_with("unknown ");
    let nearest = names
        .split_first()
        .filter(|_| named)
        .and_then(|(found, allowed)| nearest(found, allowed.iter().copied()));
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

/// The allowed name that is closest to what was found, if any is close.
fn nearest<'a>(found: &str, allowed: impl Iterator<Item = &'a str>) -> Option<String> {
    allowed
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .filter(|(distance, name)| *distance <= name.len().max(found.len()).div_ceil(2))
        .min()
        .map(|(_, name)| name.to_owned())
}

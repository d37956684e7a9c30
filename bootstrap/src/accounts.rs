//! Who may sign in to Kafka, MongoDB and the registry, and what each may do: from the table of rights to the files that servers read.
//! Pure, except for reading passwords.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use common::names::ServiceName;
use common::rights::{self, ADMIN_ACCOUNT, KafkaRight, Pattern, StoreRight};
use common::settings::service_password;
use sha2::{Digest as _, Sha256};

use crate::layout::Layout;
use crate::{files, secrets};

/// With what brokers sign in to each other and to the controller.
pub(crate) const BROKER: &str = "kafka.broker.password";
/// The account of brokers.
pub(crate) const BROKER_ACCOUNT: &str = "broker";
/// With what the Engine signs in to the registry.
pub(crate) const REGISTRY: &str = "registry.password";
/// Its account.
pub(crate) const REGISTRY_ACCOUNT: &str = "deployer";
/// Each try costs 2^5 rounds: a password is 256 random bits, nothing is gained by making guesses slow.
const BCRYPT_COST: u32 = 5;

/// Secrets that are passwords of accounts.
pub(crate) fn names() -> Vec<String> {
    let services = ServiceName::ALL.map(ServiceName::as_str);
    let own = services.into_iter().chain([ADMIN_ACCOUNT]).map(service_password);
    own.chain([BROKER, REGISTRY].map(str::to_owned)).collect()
}

/// Authorities of infrastructure that somebody else runs.
const AUTHORITIES: [&str; 2] = [secrets::KAFKA_CA, secrets::MONGODB_CA];

/// The password of every account, by the name of its secret, and what an admin brought. Never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Passwords(BTreeMap<String, String>);

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Passwords {
    /// Takes what belongs to accounts out of all secrets.
    pub(crate) fn of(all: &BTreeMap<String, String>) -> Self {
        let known = |name: String| all.get(&name).cloned().map(|value| (name, value));
        Self(names().into_iter().filter_map(known).collect())
    }

    /// Reads those of this machine.
    pub(crate) fn read(layout: &Layout) -> Result<Self> {
        let place = |name: &str| {
            let folder = if AUTHORITIES.contains(&name) {
                layout.etc()
            } else {
                layout.secrets()
            };
            folder.join(name)
        };
        let read = |name: String| {
            let path = place(&name);
            let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
            Ok((name, text.trim().to_owned()))
        };
        let brought = secrets::BROUGHT.into_iter().chain(AUTHORITIES).map(str::to_owned);
        let brought = brought.filter(|name| place(name).exists());
        names()
            .into_iter()
            .chain(brought)
            .map(read)
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Changes with what a service reads at its start.
    pub(crate) fn fingerprint(&self, service: &str) -> String {
        // The Engine signs in to the registry for the deployer.
        let registry = if service == "deployer" { REGISTRY } else { "" };
        let own = [self.service(service), self.get(registry)];
        let parts: Vec<&[u8]> = own
            .into_iter()
            .chain(secrets::BROUGHT.into_iter().chain(AUTHORITIES).map(|name| match name {
                secrets::PUBLIC_CERTIFICATE if !secrets::shows_certificate(service) => "",
                name => self.get(name),
            }))
            .map(str::as_bytes)
            .collect();
        files::fingerprint(&parts)
    }

    /// The password behind a secret; empty where there is none, with which nobody signs in.
    pub(crate) fn get(&self, secret: &str) -> &str {
        self.0.get(secret).map(String::as_str).unwrap_or_default()
    }

    /// Changes when the registry's password does, and does not tell it.
    pub(crate) fn registry_access(&self) -> String {
        files::fingerprint(&[b"registry", self.get(REGISTRY).as_bytes()])
    }

    /// The password of a service, or the admin's.
    pub(crate) fn service(&self, name: &str) -> &str {
        self.get(&service_password(name))
    }
}

/// What `Accounts.java` makes so.
pub(crate) fn kafka(installation: &str, passwords: &Passwords) -> String {
    let mut text = format!("user {ADMIN_ACCOUNT} {}\n", passwords.service(ADMIN_ACCOUNT));
    for service in ServiceName::ALL {
        add(
            &mut text,
            format_args!("user {service} {}", passwords.service(service.as_str())),
        );
        for right in rights::kafka(service, installation) {
            let (operation, resource, pattern) = match &right {
                KafkaRight::Read(pattern) => ("READ", "TOPIC", pattern),
                KafkaRight::Write(pattern) => ("WRITE", "TOPIC", pattern),
                KafkaRight::Create(pattern) => ("CREATE", "TOPIC", pattern),
                KafkaRight::Group(pattern) => ("READ", "GROUP", pattern),
            };
            let (kind, name) = match pattern {
                Pattern::Exactly(name) => ("LITERAL", name),
                Pattern::Prefix(name) => ("PREFIXED", name),
            };
            add(
                &mut text,
                format_args!("allow {service} {operation} {resource} {kind} {name}"),
            );
        }
    }
    text
}

/// What the gate before FerretDB reads.
pub(crate) fn mongodb(database: &str, passwords: &Passwords) -> String {
    let mut text = format!(
        "user {ADMIN_ACCOUNT} {}\nallow {ADMIN_ACCOUNT} write *\n",
        passwords.service(ADMIN_ACCOUNT)
    );
    for service in ServiceName::ALL {
        add(
            &mut text,
            format_args!("user {service} {}", passwords.service(service.as_str())),
        );
        for right in rights::store(service) {
            let (what, pattern) = match &right {
                StoreRight::Read(pattern) => ("read", pattern),
                StoreRight::Write(pattern) => ("write", pattern),
            };
            let (name, rest) = match pattern {
                Pattern::Exactly(name) => (name, ""),
                Pattern::Prefix(name) => (name, "*"),
            };
            add(
                &mut text,
                format_args!("allow {service} {what} {database}.{name}{rest}"),
            );
        }
    }
    text
}

/// The registry's list of accounts. The same password gives the same text, so that nothing changes when nothing did.
pub(crate) fn registry(passwords: &Passwords) -> Result<String> {
    let password = passwords.get(REGISTRY);
    let digest: [u8; 32] = Sha256::digest(format!("salt of {password}")).into();
    let mut salt = [0; 16];
    salt.iter_mut().zip(digest).for_each(|(byte, value)| *byte = value);
    let hash = bcrypt::hash_with_salt(password, BCRYPT_COST, salt).context("could not hash the registry's password")?;
    Ok(format!(
        "{REGISTRY_ACCOUNT}:{}\n",
        hash.format_for_version(bcrypt::Version::TwoY)
    ))
}

fn add(text: &mut String, line: std::fmt::Arguments<'_>) {
    let written = writeln!(text, "{line}");
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Passwords that are told from each other.
    pub(crate) fn passwords() -> Passwords {
        Passwords(
            names()
                .into_iter()
                .map(|name| (name.clone(), format!("<{name}>")))
                .collect(),
        )
    }

    #[test]
    fn what_servers_read() {
        insta::assert_snapshot!(format!(
            "# kafka\n{}\n# mongodb\n{}",
            kafka("iot", &passwords()),
            mongodb("iot", &passwords())
        ));
    }

    #[test]
    fn the_registry_knows_the_password_and_the_list_stays_the_same() {
        let list = registry(&passwords()).unwrap();
        assert_eq!(registry(&passwords()).unwrap(), list);
        let hash = list.trim().strip_prefix("deployer:").unwrap();
        assert!(bcrypt::verify(format!("<{REGISTRY}>"), hash).unwrap());
        assert!(!bcrypt::verify("", hash).unwrap());
    }

    #[test]
    fn no_password_is_shown() {
        assert!(!format!("{:?}", passwords()).contains('<'));
    }
}

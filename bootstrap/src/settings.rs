//! `config.json` and facts of the host → what every service reads. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use common::config::{Config, Mode};
use common::settings::{Account, EngineSettings, Gateways, KafkaSettings, MongoSettings, Ports, Settings, Tls};

use crate::accounts;
use crate::layout::Layout;
use crate::network::Names;
use crate::secrets;

/// What a config cannot say about a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostFacts {
    /// The machine's name.
    pub(crate) host_name: String,
    /// The machine's first address.
    pub(crate) address: String,
    /// The application bridge's address.
    pub(crate) gateway: Ipv4Addr,
    /// CA bundle that the environment points to.
    pub(crate) ca_bundle: Option<PathBuf>,
    /// Whether the server of the MongoDB protocol asks who one is.
    pub(crate) mongodb_accounts: bool,
    /// Whether the database comes from a backup.
    pub(crate) restored: bool,
    /// Changes when the registry's password does.
    pub(crate) registry_access: String,
}

/// The settings of an installation.
pub(crate) fn derive(config: &Config, layout: &Layout, facts: &HostFacts) -> Settings {
    let host = config.host();
    let loopback = |port: u16| format!("127.0.0.1:{port}");
    let brokers = config
        .kafka
        .brokers
        .clone()
        .unwrap_or_else(|| loopback(config.ports.kafka));
    let uri = match config.mongodb.mode {
        Mode::Managed => format!("mongodb://{}/", loopback(config.ports.mongodb)),
        Mode::External => config.mongodb.uri.clone().unwrap_or_default(),
    };
    Settings {
        name: config.name.clone(),
        host: host.name.unwrap_or_else(|| facts.host_name.clone()),
        data_dir: layout.data_dir().to_owned(),
        secrets_dir: layout.secrets(),
        public_address: host.address.unwrap_or_else(|| facts.address.clone()),
        internal_address: Ipv4Addr::LOCALHOST.into(),
        gateways: Gateways::default(),
        restored: facts.restored,
        recovery: None,
        certificate: None,
        public_certificate: config
            .tls
            .as_ref()
            .map(|_| layout.secrets().join(secrets::PUBLIC_CERTIFICATE)),
        kafka: KafkaSettings {
            brokers,
            replication: config.kafka.replication,
            account: match config.kafka.mode {
                Mode::Managed => Some(Account::Own),
                Mode::External => shared(config.kafka.username.as_ref(), secrets::KAFKA_PASSWORD),
            },
            sasl: config.kafka.mechanism,
            tls: external_tls(layout, config.kafka.tls, config.kafka.ca.is_some(), secrets::KAFKA_CA),
        },
        mongodb: MongoSettings {
            uri,
            database: database(&config.name),
            account: match config.mongodb.mode {
                Mode::Managed => facts.mongodb_accounts.then_some(Account::Own),
                Mode::External => shared(config.mongodb.username.as_ref(), secrets::MONGODB_PASSWORD),
            },
            tls: external_tls(
                layout,
                config.mongodb.tls,
                config.mongodb.ca.is_some(),
                secrets::MONGODB_CA,
            ),
        },
        engine: EngineSettings {
            socket: PathBuf::from(crate::engine::SOCKET),
            network: Names::new(&config.name).network,
            gateway: facts.gateway.into(),
            registry: loopback(config.ports.registry),
            registry_account: Some(Account::Shared {
                username: accounts::REGISTRY_ACCOUNT.to_owned(),
                secret: accounts::REGISTRY.to_owned(),
            }),
            registry_access: facts.registry_access.clone(),
            registry_tls: None,
            base_images: BTreeMap::from([("python".to_owned(), crate::image::python_tag(&config.name))]),
            sdk_dir: layout.sdk(),
            ca_bundle: facts.ca_bundle.clone(),
        },
        ports: ports(config),
        limits: config.limits.clone(),
        smtp: config.smtp.clone(),
    }
}

/// The account that somebody gave to the installation.
fn shared(username: Option<&String>, secret: &str) -> Option<Account> {
    Some(Account::Shared {
        username: username?.clone(),
        secret: secret.to_owned(),
    })
}

fn external_tls(layout: &Layout, tls: bool, own_authorities: bool, name: &str) -> Option<Tls> {
    tls.then(|| Tls {
        ca: own_authorities.then(|| layout.etc().join(name)),
    })
}

/// Name of an installation's database.
pub(crate) fn database(installation: &str) -> String {
    installation.replace('-', "_")
}

fn ports(config: &Config) -> Ports {
    Ports {
        console: config.console.port,
        applications: config.console.applications_port,
        mqtt: config.ports.mqtt,
        ingestion: config.ports.ingestion,
        console_tls: config.console.tls_port,
        mqtt_tls: config.ports.mqtt_tls,
        ingestion_tls: config.ports.ingestion_tls,
        readings: config.ports.readings,
        actions: config.ports.actions,
        agent_readings: config.ports.agent_readings,
        agent_actions: config.ports.agent_actions,
        admin: config.admin_ports(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use common::settings::SmtpSettings;

    use super::*;

    #[test]
    fn defaults_become_complete_settings() {
        let config = Config::default();
        let layout = Layout::new(&config.data_dir, Path::new("/src/platform"));
        let facts = HostFacts {
            host_name: "one".to_owned(),
            address: "192.0.2.10".to_owned(),
            gateway: Ipv4Addr::new(10, 90, 1, 1),
            ca_bundle: None,
            mongodb_accounts: true,
            restored: false,
            registry_access: "a1".to_owned(),
        };
        let mut settings = derive(&config, &layout, &facts);
        insta::assert_json_snapshot!(settings);

        // After a rollback a service reads what was written for a later release.
        settings.smtp = Some(SmtpSettings {
            host: "mail.example.org".to_owned(),
            port: 587,
            from: "iot@example.org".to_owned(),
            username: None,
            tls: true,
        });
        let mut later = serde_json::to_value(&settings).unwrap();
        later["added"] = serde_json::json!({ "later": true });
        for part in ["limits", "kafka", "engine", "ports", "smtp"] {
            later[part]["added"] = 1.into();
        }
        let read: Settings = serde_json::from_value(later).unwrap();
        assert_eq!(read, settings);
    }
}

//! The Swarm service that an instance needs. Pure.

use common::InstanceId;
use common::manifest::Kind;
use common::messages::instance::Instance;
use common::settings::Settings;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Where an application finds its token.
pub(crate) const TOKEN_FILE: &str = "/run/secrets/token";

/// Processes and threads of one container.
const PIDS: i64 = 256;

/// What is asked of the Swarm. Its hash tells whether a service is what is wanted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ServicePlan {
    pub(crate) name: String,
    pub(crate) secret: String,
    pub(crate) instance: InstanceId,
    pub(crate) image: String,
    /// With which password the image is pulled.
    pub(crate) registry_access: String,
    pub(crate) environment: Vec<String>,
    pub(crate) network: String,
    pub(crate) memory_bytes: i64,
    pub(crate) nano_cpus: i64,
    pub(crate) pids: i64,
    pub(crate) stop_seconds: u32,
    pub(crate) to_completion: bool,
    pub(crate) replicas: u32,
    pub(crate) page_port: Option<u16>,
}

impl ServicePlan {
    /// Hash of all of it.
    pub(crate) fn hash(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(Sha256::digest(text)).chars().take(16).collect()
    }
}

/// Name of an instance's service.
pub(crate) fn service_name(installation: &str, instance: InstanceId) -> String {
    format!("{installation}-{}", instance.uuid().simple())
}

/// Name of an instance's token in the Swarm.
pub(crate) fn secret_name(installation: &str, instance: InstanceId) -> String {
    format!("{}-token", service_name(installation, instance))
}

/// Plans the service of an instance.
pub(crate) fn plan(settings: &Settings, instance: &Instance, image: &str) -> ServicePlan {
    let manifest = &instance.spec.version.manifest;
    let to_completion = manifest.kind == Kind::Task;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the manifest check keeps CPUs far below the end of i64"
    )]
    let nano_cpus = (manifest.resources.cpus * 1e9) as i64;
    ServicePlan {
        name: service_name(&settings.name, instance.id),
        secret: secret_name(&settings.name, instance.id),
        instance: instance.id,
        image: image.to_owned(),
        registry_access: settings.engine.registry_access.clone(),
        environment: environment(settings, instance),
        network: settings.engine.network.clone(),
        memory_bytes: i64::try_from(manifest.resources.memory_mib.saturating_mul(1024 * 1024)).unwrap_or(i64::MAX),
        nano_cpus,
        pids: PIDS,
        stop_seconds: manifest.stop_timeout_seconds,
        to_completion,
        replicas: if to_completion { 1 } else { manifest.replicas.max(1) },
        page_port: manifest.page.as_ref().map(|page| page.port),
    }
}

fn environment(settings: &Settings, instance: &Instance) -> Vec<String> {
    let spec = &instance.spec;
    let manifest = &spec.version.manifest;
    let (gateway, ports) = (settings.engine.gateway, &settings.ports);
    let host = if gateway.is_ipv6() {
        format!("[{gateway}]")
    } else {
        gateway.to_string()
    };
    let mut variables = vec![
        ("IOT_READINGS", format!("ws://{host}:{}", ports.agent_readings)),
        ("IOT_ACTIONS", format!("http://{host}:{}", ports.agent_actions)),
        ("IOT_TOKEN_FILE", TOKEN_FILE.to_owned()),
        ("IOT_INSTANCE", instance.id.to_string()),
        ("IOT_APPLICATION", manifest.name.to_string()),
        ("IOT_VERSION", spec.version.number.clone()),
        ("IOT_LOCATION", spec.location_path.clone()),
        (
            "IOT_PARAMETERS",
            serde_json::to_string(&spec.parameters).unwrap_or_else(|_| "{}".to_owned()),
        ),
    ];
    if let Some(page) = &manifest.page {
        variables.push(("IOT_PORT", page.port.to_string()));
    }
    variables
        .into_iter()
        .map(|(name, value)| format!("{name}={}", literal(&value)))
        .collect()
}

/// The Swarm takes `{{…}}` in values for a template; people who type it mean the characters.
fn literal(value: &str) -> String {
    value.replace('\0', "").replace("{{", "{{\"{{\"}}")
}

#[cfg(test)]
pub(crate) mod tests {
    use common::manifest::Value;

    use super::*;
    use crate::instance::tests::requested;

    pub(crate) fn settings() -> Settings {
        serde_json::from_value(serde_json::json!({
            "name": "iot", "host": "one", "data_dir": "/d", "secrets_dir": "/d/secrets", "public_address": "192.0.2.1",
            "kafka": {"brokers": "127.0.0.1:9092", "replication": 1},
            "mongodb": {"uri": "mongodb://127.0.0.1/", "database": "iot"},
            "engine": {"socket": "/s", "network": "iot-applications", "gateway": "10.90.1.1", "registry": "127.0.0.1:5000",
                       "base_images": {"python": "iot/python:3"}, "sdk_dir": "/sdk"},
            "ports": {"console": 80, "applications": 8081, "mqtt": 1883, "ingestion": 8082, "readings": 7601, "actions": 7602,
                      "agent_readings": 7611, "agent_actions": 7612, "admin": {}},
            "limits": {}
        }))
        .unwrap()
    }

    #[test]
    fn a_plan_has_limits_and_environment() {
        let mut instance = requested().instance.unwrap();
        instance
            .spec
            .parameters
            .insert("text".to_owned(), Value::Text("{{.Node.ID}} ü".to_owned()));
        let plan = plan(&settings(), &instance, "127.0.0.1:5000/iot/demo@sha256:1");
        insta::assert_json_snapshot!(plan);
        assert!(plan.name.len() <= 63 && plan.secret.len() <= 64);
        assert_eq!(plan.hash(), plan.clone().hash());
        assert_ne!(
            plan.hash(),
            ServicePlan {
                pids: 1,
                ..plan.clone()
            }
            .hash()
        );
    }
}

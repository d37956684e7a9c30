//! A plan in the Swarm's words.

use std::collections::HashMap;

use bollard::models::{
    EndpointPortConfig, EndpointPortConfigProtocolEnum, EndpointPortConfigPublishModeEnum, EndpointSpec,
    EndpointSpecModeEnum, Limit, Mount, MountTmpfsOptions, MountType, NetworkAttachmentConfig, ResourceObject,
    ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicated, TaskSpec, TaskSpecContainerSpec,
    TaskSpecContainerSpecFile, TaskSpecContainerSpecSecrets, TaskSpecLogDriver, TaskSpecResources,
    TaskSpecRestartPolicy, TaskSpecRestartPolicyConditionEnum,
};

use super::{Engine, PLAN};
use crate::backoff::SWARM_DELAY_MILLIS;
use crate::plan::ServicePlan;

/// The account applications run as.
const USER: &str = "10001";
/// Size of `/tmp` in a container.
const TMP_BYTES: i64 = 64 * 1024 * 1024;

impl Engine {
    /// Describes a service with so many copies.
    pub(super) fn spec(&self, plan: &ServicePlan, replicas: u32, secret: &str) -> ServiceSpec {
        let mut labels = self.labels(plan.instance);
        labels.insert(PLAN.to_owned(), plan.hash());
        let network = NetworkAttachmentConfig {
            target: Some(plan.network.clone()),
            ..NetworkAttachmentConfig::default()
        };
        ServiceSpec {
            name: Some(plan.name.clone()),
            labels: Some(labels),
            mode: Some(mode(replicas)),
            endpoint_spec: Some(endpoints(plan)),
            task_template: Some(TaskSpec {
                container_spec: Some(container(plan, self.labels(plan.instance), secret)),
                resources: Some(resources(plan)),
                restart_policy: Some(restarts(plan)),
                networks: Some(vec![network]),
                log_driver: Some(logs()),
                ..TaskSpec::default()
            }),
            ..ServiceSpec::default()
        }
    }
}

/// Also for what runs to completion, which `restarts` lets run once: of the Swarm's jobs, tasks and containers stay for good when their
/// service is removed (moby/moby#44312).
fn mode(replicas: u32) -> ServiceSpecMode {
    let replicated = ServiceSpecModeReplicated {
        replicas: Some(i64::from(replicas)),
    };
    ServiceSpecMode {
        replicated: Some(replicated),
        ..ServiceSpecMode::default()
    }
}

/// No virtual address (it needs IPVS in the kernel); pages are published by the host itself on a port it chooses.
fn endpoints(plan: &ServicePlan) -> EndpointSpec {
    let port = plan.page_port.map(|port| EndpointPortConfig {
        protocol: Some(EndpointPortConfigProtocolEnum::TCP),
        target_port: Some(i64::from(port)),
        publish_mode: Some(EndpointPortConfigPublishModeEnum::HOST),
        ..EndpointPortConfig::default()
    });
    EndpointSpec {
        mode: Some(EndpointSpecModeEnum::DNSRR),
        ports: port.map(|port| vec![port]),
    }
}

fn container(plan: &ServicePlan, labels: HashMap<String, String>, secret: &str) -> TaskSpecContainerSpec {
    let tmp = Mount {
        target: Some("/tmp".to_owned()),
        typ: Some(MountType::TMPFS),
        tmpfs_options: Some(MountTmpfsOptions {
            size_bytes: Some(TMP_BYTES),
            mode: Some(0o1777),
            ..MountTmpfsOptions::default()
        }),
        ..Mount::default()
    };
    let token = TaskSpecContainerSpecSecrets {
        secret_id: Some(secret.to_owned()),
        secret_name: Some(plan.secret.clone()),
        file: Some(TaskSpecContainerSpecFile {
            name: Some("token".to_owned()),
            uid: Some(USER.to_owned()),
            gid: Some(USER.to_owned()),
            mode: Some(0o444),
        }),
    };
    TaskSpecContainerSpec {
        image: Some(plan.image.clone()),
        labels: Some(labels),
        env: Some(plan.environment.clone()),
        user: Some(format!("{USER}:{USER}")),
        read_only: Some(true),
        // Reaps what an application leaves behind, and lets SIGTERM end a program that does not handle it.
        init: Some(true),
        mounts: Some(vec![tmp]),
        secrets: Some(vec![token]),
        capability_drop: Some(vec!["ALL".to_owned()]),
        stop_grace_period: Some(i64::from(plan.stop_seconds) * 1_000_000_000),
        ..TaskSpecContainerSpec::default()
    }
}

/// What is reserved is also the limit: an application gets what it asked for, neither less nor more.
fn resources(plan: &ServicePlan) -> TaskSpecResources {
    TaskSpecResources {
        limits: Some(Limit {
            nano_cpus: Some(plan.nano_cpus),
            memory_bytes: Some(plan.memory_bytes),
            pids: Some(plan.pids),
        }),
        reservations: Some(ResourceObject {
            nano_cpus: Some(plan.nano_cpus),
            memory_bytes: Some(plan.memory_bytes),
            ..ResourceObject::default()
        }),
        ..TaskSpecResources::default()
    }
}

fn restarts(plan: &ServicePlan) -> TaskSpecRestartPolicy {
    let condition = if plan.to_completion {
        TaskSpecRestartPolicyConditionEnum::NONE
    } else {
        TaskSpecRestartPolicyConditionEnum::ANY
    };
    TaskSpecRestartPolicy {
        condition: Some(condition),
        delay: Some(SWARM_DELAY_MILLIS * 1_000_000),
        ..TaskSpecRestartPolicy::default()
    }
}

fn logs() -> TaskSpecLogDriver {
    TaskSpecLogDriver {
        name: Some("json-file".to_owned()),
        options: Some(HashMap::from([
            ("max-size".to_owned(), "10m".to_owned()),
            ("max-file".to_owned(), "3".to_owned()),
        ])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::tests::requested;
    use crate::plan::{plan, tests::settings};

    #[test]
    fn a_service_has_no_rights() {
        let engine = Engine::new(std::path::Path::new("/s"), "iot", std::net::Ipv4Addr::LOCALHOST.into());
        let instance = requested().instance.unwrap();
        let spec = engine.spec(&plan(&settings(), &instance, "r/iot/demo@sha256:1"), 1, "secret-id");
        let spec = serde_json::to_value(spec).unwrap();
        insta::assert_json_snapshot!(spec);
    }
}

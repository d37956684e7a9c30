//! Services, tasks and secrets of the Swarm.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bollard::models::{
    EndpointPortConfig, EndpointPortConfigProtocolEnum, EndpointPortConfigPublishModeEnum, EndpointSpec,
    EndpointSpecModeEnum, Limit, Mount, MountTmpfsOptions, MountType, NetworkAttachmentConfig, Node, ResourceObject,
    SecretSpec, Service, ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicated, ServiceSpecModeReplicatedJob, Task,
    TaskSpec, TaskSpecContainerSpec, TaskSpecContainerSpecFile, TaskSpecContainerSpecSecrets, TaskSpecLogDriver,
    TaskSpecResources, TaskSpecRestartPolicy, TaskSpecRestartPolicyConditionEnum,
};
use bollard::query_parameters::{
    InspectContainerOptions, ListNodesOptions, ListSecretsOptionsBuilder, ListServicesOptionsBuilder, ListTasksOptions,
    UpdateServiceOptionsBuilder,
};
use common::{InstanceId, Timestamp};

use super::{Engine, EngineError, INSTALLATION, INSTANCE, Observed, PLAN, ServiceSeen, TaskSeen, TaskState};
use crate::backoff::SWARM_DELAY_MILLIS;
use crate::plan::ServicePlan;

/// The account applications run as.
const USER: &str = "10001";
/// Size of `/tmp` in a container.
const TMP_BYTES: i64 = 64 * 1024 * 1024;

impl Engine {
    /// Looks at everything of this installation.
    pub(crate) async fn observe(&self) -> Result<Observed, EngineError> {
        let client = self.client().await?;
        let services = client
            .list_services(Some(ListServicesOptionsBuilder::new().filters(&self.own()).build()))
            .await?;
        let secrets = client
            .list_secrets(Some(ListSecretsOptionsBuilder::new().filters(&self.own()).build()))
            .await?;
        let mut observed = Observed::default();
        for service in services {
            if let Some((instance, seen)) = service_seen(service) {
                observed.services.insert(instance, seen);
            }
        }
        for secret in secrets {
            let spec = secret.spec.unwrap_or_default();
            if let (Some(instance), Some(name)) = (instance_of(spec.labels.as_ref()), spec.name) {
                observed.secrets.insert(instance, name);
            }
        }
        // The Engine filters tasks by service only, and tasks of services that are gone matter as well.
        let tasks: Vec<(InstanceId, Task)> = client
            .list_tasks(None::<ListTasksOptions>)
            .await?
            .into_iter()
            .filter_map(|task| Some((self.owner(&task)?, task)))
            .collect();
        if tasks.is_empty() {
            return Ok(observed);
        }
        let info = client.info().await?.swarm.unwrap_or_default();
        let local = info.node_id.unwrap_or_default();
        let nodes: BTreeMap<String, Node> = client
            .list_nodes(None::<ListNodesOptions>)
            .await?
            .into_iter()
            .filter_map(|node| Some((node.id.clone()?, node)))
            .collect();
        for (instance, task) in tasks {
            let mut seen = task_seen(&task, &nodes, &local);
            if seen.exit_code == Some(137) && task.node_id.as_ref() == Some(&local) {
                seen.out_of_memory = self.out_of_memory(&task).await;
            }
            observed.tasks.entry(instance).or_default().push(seen);
        }
        Ok(observed)
    }

    fn owner(&self, task: &Task) -> Option<InstanceId> {
        let labels = task.spec.as_ref()?.container_spec.as_ref()?.labels.as_ref()?;
        (labels.get(INSTALLATION)? == &self.installation).then(|| instance_of(Some(labels)))?
    }

    /// Whether the memory limit ended the container of a task; the Swarm itself does not tell.
    async fn out_of_memory(&self, task: &Task) -> Option<bool> {
        let container = task.status.as_ref()?.container_status.as_ref()?.container_id.as_ref()?;
        let client = self.client().await.ok()?;
        let found = client
            .inspect_container(container, None::<InspectContainerOptions>)
            .await
            .ok()?;
        found.state?.oom_killed
    }

    /// Creates what an instance needs; what is there already stays as it is.
    pub(crate) async fn launch(&self, plan: &ServicePlan, token: &str) -> Result<(), EngineError> {
        let secret = self.ensure_secret(plan, token).await?;
        let created = self
            .client()
            .await?
            .create_service(self.spec(plan, plan.replicas, &secret), None)
            .await;
        match created.map_err(EngineError::from) {
            Err(error) if !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes a service what is planned, with so many copies. A change by someone else in between is left to the next look.
    pub(crate) async fn update(
        &self,
        seen: &ServiceSeen,
        plan: &ServicePlan,
        replicas: u32,
        token: &str,
    ) -> Result<(), EngineError> {
        let secret = self.ensure_secret(plan, token).await?;
        let version = i32::try_from(seen.version).map_err(|error| EngineError::Away(error.to_string()))?;
        let options = UpdateServiceOptionsBuilder::new().version(version).build();
        self.client()
            .await?
            .update_service(&seen.id, self.spec(plan, replicas, &secret), options, None)
            .await?;
        Ok(())
    }

    /// Removes a service; one that is gone is fine.
    pub(crate) async fn remove_service(&self, id: &str) -> Result<(), EngineError> {
        gone(self.client().await?.delete_service(id).await)
    }

    /// Removes a secret; one that is gone is fine.
    pub(crate) async fn remove_secret(&self, name: &str) -> Result<(), EngineError> {
        gone(self.client().await?.delete_secret(name).await)
    }

    /// Returns the id of an instance's token.
    async fn ensure_secret(&self, plan: &ServicePlan, token: &str) -> Result<String, EngineError> {
        let client = self.client().await?;
        let spec = SecretSpec {
            name: Some(plan.secret.clone()),
            labels: Some(self.labels(plan.instance)),
            data: Some(BASE64.encode(token)),
            ..SecretSpec::default()
        };
        match client.create_secret(spec).await.map_err(EngineError::from) {
            Ok(created) => Ok(created.id),
            Err(error) if error.is_conflict() => {
                let found = client.inspect_secret(&plan.secret).await?;
                found
                    .id
                    .ok_or_else(|| EngineError::Away(format!("secret {} has no id", plan.secret)))
            }
            Err(error) => Err(error),
        }
    }

    fn labels(&self, instance: InstanceId) -> HashMap<String, String> {
        HashMap::from([
            (INSTALLATION.to_owned(), self.installation.clone()),
            (INSTANCE.to_owned(), instance.to_string()),
        ])
    }

    fn spec(&self, plan: &ServicePlan, replicas: u32, secret: &str) -> ServiceSpec {
        let mut labels = self.labels(plan.instance);
        labels.insert(PLAN.to_owned(), plan.hash());
        let network = NetworkAttachmentConfig {
            target: Some(plan.network.clone()),
            ..NetworkAttachmentConfig::default()
        };
        ServiceSpec {
            name: Some(plan.name.clone()),
            labels: Some(labels),
            mode: Some(mode(plan, replicas)),
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

fn gone(outcome: Result<(), bollard::errors::Error>) -> Result<(), EngineError> {
    match outcome.map_err(EngineError::from) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

fn mode(plan: &ServicePlan, replicas: u32) -> ServiceSpecMode {
    if plan.to_completion {
        let job = ServiceSpecModeReplicatedJob {
            max_concurrent: Some(1),
            total_completions: Some(1),
        };
        return ServiceSpecMode {
            replicated_job: Some(job),
            ..ServiceSpecMode::default()
        };
    }
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

fn instance_of(labels: Option<&HashMap<String, String>>) -> Option<InstanceId> {
    labels?.get(INSTANCE)?.parse().ok()
}

fn service_seen(service: Service) -> Option<(InstanceId, ServiceSeen)> {
    let spec = service.spec?;
    let instance = instance_of(spec.labels.as_ref())?;
    let replicas = spec
        .mode
        .and_then(|mode| mode.replicated)
        .and_then(|replicated| replicated.replicas);
    let seen = ServiceSeen {
        id: service.id?,
        version: service.version.and_then(|version| version.index).unwrap_or_default(),
        plan: spec
            .labels
            .and_then(|labels| labels.get(PLAN).cloned())
            .unwrap_or_default(),
        replicas: replicas.and_then(|replicas| u32::try_from(replicas).ok()),
    };
    Some((instance, seen))
}

fn task_seen(task: &Task, nodes: &BTreeMap<String, Node>, local: &str) -> TaskSeen {
    let status = task.status.clone().unwrap_or_default();
    let container = status.container_status.unwrap_or_default();
    let node_id = task.node_id.clone().unwrap_or_default();
    let node = nodes.get(&node_id);
    let state = status.state.map_or(TaskState::Pending, state_of);
    let address = if node_id == local {
        // Ports of this host's own bridge are published on loopback.
        "127.0.0.1".to_owned()
    } else {
        node.and_then(|node| node.status.clone()?.addr).unwrap_or_default()
    };
    TaskSeen {
        id: task.id.clone().unwrap_or_default(),
        service: task.service_id.clone().unwrap_or_default(),
        state,
        wanted: task.desired_state.map_or(TaskState::Pending, state_of) == TaskState::Running
            || task.desired_state == Some(bollard::models::TaskState::COMPLETE),
        created: moment(task.created_at.as_deref()),
        since: moment(status.timestamp.as_deref()),
        error: status.err.filter(|error| !error.is_empty()),
        // A container that never started has code 0 as well.
        exit_code: container
            .exit_code
            .filter(|code| state == TaskState::Complete || (state == TaskState::Failed && *code != 0)),
        out_of_memory: None,
        ports: status
            .port_status
            .and_then(|ports| ports.ports)
            .unwrap_or_default()
            .iter()
            .filter_map(port)
            .collect(),
        node: node
            .and_then(|node| node.description.clone()?.hostname)
            .unwrap_or_default(),
        address,
    }
}

fn port(port: &EndpointPortConfig) -> Option<(u16, u16)> {
    Some((
        u16::try_from(port.target_port?).ok()?,
        u16::try_from(port.published_port?).ok()?,
    ))
}

fn moment(text: Option<&str>) -> Timestamp {
    text.and_then(|text| text.parse().ok())
        .unwrap_or(Timestamp::from_millis(0))
}

fn state_of(state: bollard::models::TaskState) -> TaskState {
    use bollard::models::TaskState as Swarm;
    match state {
        Swarm::NEW | Swarm::ALLOCATED | Swarm::PENDING => TaskState::Pending,
        Swarm::ASSIGNED | Swarm::ACCEPTED | Swarm::PREPARING | Swarm::READY | Swarm::STARTING => TaskState::Starting,
        Swarm::RUNNING => TaskState::Running,
        Swarm::COMPLETE => TaskState::Complete,
        Swarm::SHUTDOWN | Swarm::REMOVE => TaskState::Shutdown,
        Swarm::FAILED => TaskState::Failed,
        Swarm::REJECTED => TaskState::Rejected,
        Swarm::ORPHANED => TaskState::Orphaned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::tests::requested;
    use crate::plan::{plan, tests::settings};

    #[test]
    fn a_service_has_no_rights() {
        let engine = Engine::new(std::path::Path::new("/s"), "iot");
        let instance = requested().instance.unwrap();
        let spec = engine.spec(&plan(&settings(), &instance, "r/iot/demo@sha256:1"), 1, "secret-id");
        let spec = serde_json::to_value(spec).unwrap();
        insta::assert_json_snapshot!(spec);
    }

    #[test]
    fn a_task_is_read() {
        let task: Task = serde_json::from_value(serde_json::json!({
            "ID": "t", "ServiceID": "s", "NodeID": "n", "CreatedAt": "2026-01-01T00:00:00.123456789Z", "DesiredState": "running",
            "Status": {"State": "running", "Timestamp": "2026-01-01T00:00:01Z",
                       "ContainerStatus": {"ContainerID": "c", "PID": 1, "ExitCode": 0},
                       "PortStatus": {"Ports": [{"Protocol": "tcp", "TargetPort": 8080, "PublishedPort": 32768, "PublishMode": "host"}]}}
        }))
        .unwrap();
        let seen = task_seen(&task, &BTreeMap::new(), "n");
        assert_eq!(seen.ports, [(8080, 32768)]);
        assert_eq!(
            (seen.state, seen.wanted, seen.exit_code),
            (TaskState::Running, true, None)
        );
        assert_eq!(seen.address, "127.0.0.1");
        assert_eq!(seen.created.to_string(), "2026-01-01T00:00:00.123Z");
    }
}

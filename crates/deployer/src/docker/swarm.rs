//! Services, tasks and secrets of the Swarm.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bollard::models::{EndpointPortConfig, Node, SecretSpec, Service, Task};
use bollard::query_parameters::{
    InspectContainerOptions, ListNodesOptions, ListSecretsOptionsBuilder, ListServicesOptionsBuilder, ListTasksOptions,
    UpdateServiceOptionsBuilder,
};
use common::{InstanceId, Timestamp};

use super::{Engine, EngineError, INSTALLATION, INSTANCE, Observed, PLAN, ServiceSeen, TaskSeen, TaskState};
use crate::plan::ServicePlan;

impl Engine {
    /// Asks whether this Engine answers and manages the swarm.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn manages(&self) -> Result<(), EngineError> {
        let swarm = self.client().await?.info().await?.swarm.unwrap_or_default();
        if swarm.control_available == Some(true) {
            Ok(())
        } else {
            Err(EngineError::Away("it does not manage the swarm".to_owned()))
        }
    }

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
        let local = Local {
            node: info.node_id.unwrap_or_default(),
            address: self.published_at.to_string(),
        };
        let nodes: BTreeMap<String, Node> = client
            .list_nodes(None::<ListNodesOptions>)
            .await?
            .into_iter()
            .filter_map(|node| Some((node.id.clone()?, node)))
            .collect();
        for (instance, task) in tasks {
            let mut seen = task_seen(&task, &nodes, &local);
            if seen.exit_code == Some(137) && task.node_id.as_ref() == Some(&local.node) {
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
            .create_service(self.spec(plan, plan.replicas, &secret), self.registry.clone())
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
            .update_service(
                &seen.id,
                self.spec(plan, replicas, &secret),
                options,
                self.registry.clone(),
            )
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

    pub(super) fn labels(&self, instance: InstanceId) -> HashMap<String, String> {
        HashMap::from([
            (INSTALLATION.to_owned(), self.installation.clone()),
            (INSTANCE.to_owned(), instance.to_string()),
        ])
    }
}

fn gone(outcome: Result<(), bollard::errors::Error>) -> Result<(), EngineError> {
    match outcome.map_err(EngineError::from) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
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

/// This host in the swarm.
struct Local {
    node: String,
    /// Where ports of applications are published on it.
    address: String,
}

fn task_seen(task: &Task, nodes: &BTreeMap<String, Node>, local: &Local) -> TaskSeen {
    let status = task.status.clone().unwrap_or_default();
    let container = status.container_status.unwrap_or_default();
    let node_id = task.node_id.clone().unwrap_or_default();
    let node = nodes.get(&node_id);
    let mut state = status.state.map_or(TaskState::Pending, state_of);
    // The Swarm itself says so of a run to completion after a day only.
    if !state.is_over() && node.is_some_and(is_down) {
        state = TaskState::Orphaned;
    }
    let address = if node_id == local.node {
        local.address.clone()
    } else {
        node.and_then(address_of).unwrap_or_default()
    };
    TaskSeen {
        id: task.id.clone().unwrap_or_default(),
        service: task.service_id.clone().unwrap_or_default(),
        state,
        wanted: task.desired_state.map_or(TaskState::Pending, state_of) == TaskState::Running,
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

fn is_down(node: &Node) -> bool {
    let state = node.status.as_ref().and_then(|status| status.state);
    state == Some(bollard::models::NodeState::DOWN)
}

/// Where a node is reached. A manager tells of itself as `0.0.0.0`, and where other managers reach it.
fn address_of(node: &Node) -> Option<String> {
    let manager = node.manager_status.as_ref().and_then(|manager| manager.addr.as_ref());
    let manager = manager.and_then(|address| Some(address.rsplit_once(':')?.0.to_owned()));
    manager.or_else(|| node.status.as_ref()?.addr.clone())
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

    #[test]
    fn a_task_is_read() {
        let task: Task = serde_json::from_value(serde_json::json!({
            "ID": "t", "ServiceID": "s", "NodeID": "n", "CreatedAt": "2026-01-01T00:00:00.123456789Z", "DesiredState": "running",
            "Status": {"State": "running", "Timestamp": "2026-01-01T00:00:01Z",
                       "ContainerStatus": {"ContainerID": "c", "PID": 1, "ExitCode": 0},
                       "PortStatus": {"Ports": [{"Protocol": "tcp", "TargetPort": 8080, "PublishedPort": 32768, "PublishMode": "host"}]}}
        }))
        .unwrap();
        let local = Local {
            node: "n".to_owned(),
            address: "127.0.0.1".to_owned(),
        };
        let seen = task_seen(&task, &BTreeMap::new(), &local);
        assert_eq!(seen.ports, [(8080, 32768)]);
        assert_eq!(
            (seen.state, seen.wanted, seen.exit_code),
            (TaskState::Running, true, None)
        );
        assert_eq!(seen.address, "127.0.0.1");
        assert_eq!(seen.created.to_string(), "2026-01-01T00:00:00.123Z");

        let node = |state: &str, manager: serde_json::Value| -> BTreeMap<String, Node> {
            let node = serde_json::json!({"Status": {"State": state, "Addr": "0.0.0.0"}, "ManagerStatus": manager});
            BTreeMap::from([("n".to_owned(), serde_json::from_value(node).unwrap())])
        };
        let elsewhere = Local {
            node: "m".to_owned(),
            ..local
        };
        let manager = serde_json::json!({"Addr": "10.0.0.2:2377"});
        assert_eq!(
            task_seen(&task, &node("ready", manager), &elsewhere).address,
            "10.0.0.2"
        );
        let lost = task_seen(&task, &node("down", serde_json::Value::Null), &elsewhere);
        assert_eq!((lost.state, lost.address.as_str()), (TaskState::Orphaned, "0.0.0.0"));
    }
}

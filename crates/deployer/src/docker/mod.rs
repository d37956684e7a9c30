//! The Engine: the only place that speaks its protocol. Everything outside sees the plain types of this module.

pub(crate) mod containers;
pub(crate) mod events;
pub(crate) mod images;
mod spec;
pub(crate) mod swarm;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use common::{InstanceId, Timestamp};
use tokio::sync::OnceCell;

/// Label with the name of the installation, on everything that belongs to it.
pub(crate) const INSTALLATION: &str = "platform.installation";
/// Label with the instance.
pub(crate) const INSTANCE: &str = "platform.instance";
/// Label with the hash of a service's plan.
pub(crate) const PLAN: &str = "platform.plan";

/// Seconds until a request without answer is given up.
const TIMEOUT_SECONDS: u64 = 60;

/// Why the Engine did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum EngineError {
    /// It understood and said no.
    #[error("the Engine refused: {message}")]
    Refused {
        /// HTTP status; 0 for an error in the middle of an answer.
        status: u16,
        /// Its words.
        message: String,
    },
    /// It does not answer or can not at the moment.
    #[error("the Engine does not answer: {0}")]
    Away(String),
}

impl EngineError {
    /// Whether it said that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether it said that there is such a thing already.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }
}

impl From<bollard::errors::Error> for EngineError {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { status_code, message } if (400..500).contains(&status_code) => {
                Self::Refused {
                    status: status_code,
                    message,
                }
            }
            // The Swarm's word for a change by someone else in between comes as an error of the server.
            Error::DockerResponseServerError { status_code, message } if message.contains("update out of sequence") => {
                Self::Refused {
                    status: status_code,
                    message,
                }
            }
            Error::DockerStreamError { error } => Self::Refused {
                status: 0,
                message: error,
            },
            other => Self::Away(other.to_string()),
        }
    }
}

/// The Engine of this host.
#[derive(Clone)]
pub(crate) struct Engine {
    socket: PathBuf,
    installation: String,
    /// Where ports of applications on this host are published.
    published_at: IpAddr,
    /// With what it signs in to the registry of the installation.
    registry: Option<DockerCredentials>,
    client: Arc<OnceCell<Docker>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the password of the registry.
        f.debug_struct("Engine")
            .field("socket", &self.socket)
            .field("installation", &self.installation)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Names the Engine; connecting happens with the first use.
    pub(crate) fn new(socket: &Path, installation: &str, published_at: IpAddr) -> Self {
        Self {
            socket: socket.to_owned(),
            installation: installation.to_owned(),
            published_at,
            registry: None,
            client: Arc::default(),
        }
    }

    /// The same, signing in to a registry.
    pub(crate) fn signed_in(mut self, account: Option<(String, String)>) -> Self {
        self.registry = account.map(|(username, password)| DockerCredentials {
            username: Some(username),
            password: Some(password),
            ..DockerCredentials::default()
        });
        self
    }

    /// The client, with the newest protocol that both sides speak.
    async fn client(&self) -> Result<&Docker, EngineError> {
        self.client
            .get_or_try_init(async || {
                let path = self.socket.to_string_lossy();
                let client = Docker::connect_with_unix(&path, TIMEOUT_SECONDS, bollard::API_DEFAULT_VERSION)?;
                Ok(client.negotiate_version().await?)
            })
            .await
    }

    /// A filter for what belongs to the installation.
    fn own(&self) -> std::collections::HashMap<String, Vec<String>> {
        std::collections::HashMap::from([(
            "label".to_owned(),
            vec![format!("{INSTALLATION}={}", self.installation)],
        )])
    }
}

/// What the Swarm has of this installation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    /// Services by instance.
    pub(crate) services: BTreeMap<InstanceId, ServiceSeen>,
    /// Tasks by instance, also of services that are gone.
    pub(crate) tasks: BTreeMap<InstanceId, Vec<TaskSeen>>,
    /// Tokens: name by instance.
    pub(crate) secrets: BTreeMap<InstanceId, String>,
}

/// A Swarm service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServiceSeen {
    pub(crate) id: String,
    /// Needed to change it.
    pub(crate) version: u64,
    /// Hash of the plan it was made of.
    pub(crate) plan: String,
    /// Copies wanted.
    pub(crate) replicas: Option<u32>,
}

/// A task: one try to run a container.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskSeen {
    pub(crate) id: String,
    pub(crate) service: String,
    pub(crate) state: TaskState,
    /// Whether the Swarm wants it to run.
    pub(crate) wanted: bool,
    pub(crate) created: Timestamp,
    /// When it entered the state.
    pub(crate) since: Timestamp,
    pub(crate) error: Option<String>,
    pub(crate) exit_code: Option<i64>,
    /// Whether the memory limit ended it; none where that is not known.
    pub(crate) out_of_memory: Option<bool>,
    /// Published ports: port in the container, port on the host.
    pub(crate) ports: Vec<(u16, u16)>,
    /// Name of its host.
    pub(crate) node: String,
    /// Address of its host.
    pub(crate) address: String,
}

/// State of a task, with the Swarm's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// Not placed on a host yet.
    Pending,
    /// Placed, not running yet.
    Starting,
    /// Running.
    Running,
    /// Ended with exit code 0.
    Complete,
    /// Ended as it was asked to.
    Shutdown,
    /// Ended in error.
    Failed,
    /// The host could not run it.
    Rejected,
    /// The host is lost.
    Orphaned,
}

impl TaskState {
    /// Whether nothing runs (any more).
    pub(crate) fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::Starting | Self::Running)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn task(id: &str, state: TaskState) -> TaskSeen {
        TaskSeen {
            id: id.to_owned(),
            service: "s1".to_owned(),
            state,
            wanted: !state.is_over(),
            created: Timestamp::from_millis(0),
            since: Timestamp::from_millis(0),
            error: None,
            exit_code: None,
            out_of_memory: None,
            ports: Vec::new(),
            node: "one".to_owned(),
            address: "127.0.0.1".to_owned(),
        }
    }

    #[test]
    fn errors_are_told_apart() {
        let refused = |status_code| {
            EngineError::from(bollard::errors::Error::DockerResponseServerError {
                status_code,
                message: "x".to_owned(),
            })
        };
        assert!(refused(409).is_conflict());
        assert!(refused(404).is_not_found());
        assert!(matches!(refused(503), EngineError::Away(_)));
        assert!(matches!(
            EngineError::from(bollard::errors::Error::RequestTimeoutError),
            EngineError::Away(_)
        ));
    }
}

//! Containers of this host and what they print, for the node agent.

use bollard::container::LogOutput;
use bollard::models::ContainerSummaryStateEnum;
use bollard::query_parameters::{ListContainersOptionsBuilder, LogsOptionsBuilder};
use common::InstanceId;
use common::messages::log::Stream as Printed;
use futures_util::{Stream, StreamExt};

use super::{Engine, EngineError, INSTANCE};

/// A container of an instance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ContainerSeen {
    pub(crate) id: String,
    pub(crate) instance: InstanceId,
    pub(crate) phase: Phase,
}

/// How far a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It was created; the Engine says nothing of its log, not even when asked to follow it.
    New,
    /// It runs.
    Running,
    /// It ended.
    Over,
}

fn phase(state: Option<ContainerSummaryStateEnum>) -> Phase {
    use ContainerSummaryStateEnum as State;
    match state {
        None | Some(State::EMPTY | State::CREATED) => Phase::New,
        Some(State::EXITED | State::DEAD | State::REMOVING) => Phase::Over,
        Some(State::RUNNING | State::PAUSED | State::RESTARTING | State::STOPPING) => Phase::Running,
    }
}

/// Facts of the Engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EngineFacts {
    pub(crate) version: String,
    pub(crate) host: String,
    pub(crate) address: String,
    pub(crate) cpus: u32,
}

/// One line as the Engine gives it: `<RFC 3339 with nanoseconds> <text>`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawLine {
    pub(crate) stream: Printed,
    pub(crate) bytes: bytes::Bytes,
}

impl Engine {
    /// Lists the containers of this installation on this host, also those that ended.
    pub(crate) async fn containers(&self) -> Result<Vec<ContainerSeen>, EngineError> {
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&self.own())
            .build();
        let found = self.client().await?.list_containers(Some(options)).await?;
        Ok(found
            .into_iter()
            .filter_map(|container| {
                Some(ContainerSeen {
                    id: container.id?,
                    instance: container.labels?.get(INSTANCE)?.parse().ok()?,
                    phase: phase(container.state),
                })
            })
            .collect())
    }

    /// Reads what a container prints from a second on, and goes on until it ends.
    pub(crate) async fn logs(
        &self,
        container: &str,
        since_second: i32,
    ) -> Result<impl Stream<Item = Result<RawLine, EngineError>> + use<>, EngineError> {
        let options = LogsOptionsBuilder::new()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(since_second)
            .build();
        let lines = self.client().await?.clone().logs(container, Some(options));
        Ok(lines.map(|line| {
            Ok(match line? {
                LogOutput::StdErr { message } => RawLine {
                    stream: Printed::Stderr,
                    bytes: message,
                },
                LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
                    RawLine {
                        stream: Printed::Stdout,
                        bytes: message,
                    }
                }
            })
        }))
    }

    /// Asks the Engine about itself.
    pub(crate) async fn facts(&self) -> Result<EngineFacts, EngineError> {
        let info = self.client().await?.info().await?;
        Ok(EngineFacts {
            version: info.server_version.unwrap_or_default(),
            host: info.name.unwrap_or_default(),
            address: info.swarm.and_then(|swarm| swarm.node_addr).unwrap_or_default(),
            cpus: info.ncpu.and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or_default(),
        })
    }
}

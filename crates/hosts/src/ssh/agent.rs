//! Keys that an SSH agent holds.

use std::path::PathBuf;

use russh::keys::PublicKey;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use tokio::net::UnixStream;

use super::error::SshError;
use super::target::{Agent, Target};

/// A connection to an agent.
pub(super) type Client = AgentClient<UnixStream>;

/// Connects to the agent and asks for its keys; certificates among them are left out. None when no agent is to be asked.
pub(super) async fn open(target: &Target) -> Result<Option<(Client, Vec<PublicKey>)>, SshError> {
    let failed = |reason: String| SshError::Agent {
        host: target.name.clone(),
        reason,
    };
    let socket = match &target.identity.agent {
        Agent::Off => return Ok(None),
        Agent::Socket(path) => path.clone(),
        Agent::Environment => std::env::var_os("SSH_AUTH_SOCK")
            .map(PathBuf::from)
            .ok_or_else(|| failed("SSH_AUTH_SOCK is not set".to_owned()))?,
    };
    let mut client = AgentClient::connect_uds(&socket)
        .await
        .map_err(|error| failed(format!("{}: {error}", socket.display())))?;
    let identities = client
        .request_identities()
        .await
        .map_err(|error| failed(error.to_string()))?;
    let keys = identities.into_iter().filter_map(|identity| match identity {
        AgentIdentity::PublicKey { key, .. } => Some(key),
        AgentIdentity::Certificate { .. } => None,
    });
    Ok(Some((client, keys.collect())))
}

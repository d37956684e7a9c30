//! The way to a host until its key is accepted, before anybody signs in.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Config, Handle};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{ChannelOpenFailure, Preferred};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::{Phase, SshError};
use super::session::Session;
use super::target::{Target, Timeouts};
use super::trust::{Expectation, HostKey};

/// Unanswered signs of life after which a connection is given up.
const UNANSWERED: u32 = 3;

/// What stands between the bytes and a session: a TCP connection, or a channel of a bastion.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Reads the key of a host without signing in to it. A bastion on the way is entered, with all that this asks for.
///
/// # Errors
/// When the host, or the bastion before it, cannot be reached or shows no key.
pub async fn host_key(target: &Target) -> Result<HostKey, SshError> {
    let (stream, bastion) = reach(target).await?;
    let stopped = shake(target, Expectation::Look, stream).await;
    if let Some(bastion) = bastion {
        bastion.close().await;
    }
    match stopped {
        Err(Stop::Seen(key)) => Ok(HostKey::new(target, *key)),
        Err(stop) => Err(stop.explain(target)),
        Ok(_) => Err(SshError::closed(target, Phase::Handshake, "it showed no key")),
    }
}

/// Connects to a host and has its key checked.
pub(super) async fn link(target: &Target) -> Result<(Handle<Client>, Option<Session>), SshError> {
    let expectation = Expectation::of(target)?;
    let (stream, bastion) = reach(target).await?;
    let handle = shake(target, expectation, stream)
        .await
        .map_err(|stop| stop.explain(target))?;
    Ok((handle, bastion))
}

/// Makes the connection, through the bastion when there is one.
async fn reach(target: &Target) -> Result<(Box<dyn Stream>, Option<Session>), SshError> {
    let limit = target.timeouts.connect;
    let Some(bastion) = &target.bastion else {
        let stream = within(
            target,
            Phase::Connect,
            limit,
            TcpStream::connect((target.address.as_str(), target.port)),
        )
        .await?
        .map_err(|error| SshError::unreachable(target, reason(&error)))?;
        // Commands are small packets that wait for each other; Nagle's algorithm would delay each of them. A socket that
        // cannot be told so works nevertheless.
        stream.set_nodelay(true).ok();
        return Ok((Box::new(stream), None));
    };
    // A bastion may have one of its own; the size of the future must not depend on that.
    let session = Box::pin(Session::connect(bastion)).await?;
    let opened = within(
        target,
        Phase::Connect,
        limit,
        session
            .handle()
            .channel_open_direct_tcpip(target.address.as_str(), u32::from(target.port), "127.0.0.1", 0),
    )
    .await?;
    match opened {
        Ok(channel) => Ok((Box::new(channel.into_stream()), Some(session))),
        Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited)) => {
            let reason = format!(
                "the bastion {} does not allow forwarding (AllowTcpForwarding)",
                bastion.name
            );
            Err(SshError::unreachable(target, reason))
        }
        Err(russh::Error::ChannelOpenFailure(_)) => {
            let reason = format!("the bastion {} found no way to it", bastion.name);
            Err(SshError::unreachable(target, reason))
        }
        Err(error) => Err(SshError::closed(bastion, Phase::Connect, error)),
    }
}

/// Exchanges banners and keys.
async fn shake(target: &Target, expectation: Expectation, stream: Box<dyn Stream>) -> Result<Handle<Client>, Stop> {
    let config = Arc::new(config(&target.timeouts, &expectation));
    let client = Client {
        target: target.clone(),
        expectation,
    };
    let limit = target.timeouts.handshake;
    let connecting = Box::pin(client::connect_stream(config, stream, client));
    within(target, Phase::Handshake, limit, connecting)
        .await
        .map_err(|error| Stop::Refused(Box::new(error)))?
}

fn config(timeouts: &Timeouts, expectation: &Expectation) -> Config {
    // A handshake that is given up leaves a task of the library that listens on; this ends it. A host that lives answers a
    // keep-alive well before.
    let silence = timeouts.keepalive * (UNANSWERED + 2) + timeouts.handshake + timeouts.authentication;
    Config {
        preferred: Preferred {
            key: expectation.algorithms().into(),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(timeouts.keepalive),
        keepalive_max: UNANSWERED as usize,
        inactivity_timeout: Some(silence),
        nodelay: true,
        ..Config::default()
    }
}

/// Waits for something of a host for a limited time.
pub(super) async fn within<T>(
    target: &Target,
    phase: Phase,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, SshError> {
    timeout(limit, work)
        .await
        .map_err(|_| SshError::timed_out(target, phase, limit))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "no way leads there".to_owned(),
        _ => error.to_string(),
    }
}

/// Our side of a connection: it decides on the key of the host.
#[derive(Debug)]
pub(super) struct Client {
    target: Target,
    expectation: Expectation,
}

impl client::Handler for Client {
    type Error = Stop;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Stop> {
        let key = shown.public_key();
        if matches!(self.expectation, Expectation::Look) {
            return Err(Stop::Seen(Box::new(key)));
        }
        self.expectation
            .check(&self.target, &key)
            .map_err(|error| Stop::Refused(Box::new(error)))?;
        Ok(true)
    }
}

/// Why a handshake ended.
#[derive(Debug)]
pub(super) enum Stop {
    /// The key was only to be looked at.
    Seen(Box<PublicKey>),
    /// We did not go on.
    Refused(Box<SshError>),
    /// The protocol did not.
    Broken(russh::Error),
}

impl From<russh::Error> for Stop {
    fn from(error: russh::Error) -> Self {
        Self::Broken(error)
    }
}

impl Stop {
    fn explain(self, target: &Target) -> SshError {
        use russh::Error;
        let reason = match self {
            Self::Seen(_) => "only its key was asked for".to_owned(),
            Self::Refused(error) => return *error,
            Self::Broken(Error::NoCommonAlgo { kind, theirs, .. }) => {
                format!("it offers only {} for {kind:?}", theirs.join(", "))
            }
            Self::Broken(error @ (Error::Disconnect | Error::HUP | Error::IO(_) | Error::InactivityTimeout)) => {
                return SshError::closed(target, Phase::Handshake, error);
            }
            Self::Broken(error) => error.to_string(),
        };
        SshError::Handshake {
            host: target.name.clone(),
            place: target.place(),
            reason,
        }
    }
}

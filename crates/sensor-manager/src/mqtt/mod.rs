//! The MQTT endpoint: 3.1.1 and 5, `QoS` 0 and 1. It is no broker: clients talk to the platform, not to each other.
//!
//! # Invariants
//! - PUBACK means that Kafka has it (or, when it was refused, that quarantine has it). They go out in order.
//! - Kafka does not confirm: no PUBACK, and the connection is closed, so that the client sends again.
//! - A connection owns a bounded amount of memory; when it is used up, nothing more is read from it.
//! - Retained messages and wills are ignored, `QoS` 2 and enhanced authentication are refused; a session ends with its connection.

mod connected;
mod connection;
mod decode;
mod encode;
mod handshake;
mod packet;
mod pipeline;
mod session;
#[cfg(test)]
mod tests;
mod topics;
mod work;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use runtime::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::connected::Connected;
use crate::devices::Commands;
use crate::ingest::Ingest;

/// Most connections at once.
const MAX_CONNECTIONS: usize = 10_000;

/// Bounds of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Largest packet, in bytes.
    pub(crate) max_packet: usize,
    /// Publishes of a client of version 5 that may be unanswered.
    pub(crate) receive_maximum: u16,
    /// Items handed to Kafka at once.
    pub(crate) window: usize,
    /// Time within which a client has to introduce itself.
    pub(crate) connect_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_packet: 256 * 1024,
            receive_maximum: 64,
            window: 256,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) connected: Arc<Connected>,
    pub(crate) limits: Limits,
    pub(crate) shutdown: CancellationToken,
}

impl Shared {
    pub(crate) fn new(ingest: Arc<Ingest>, commands: Arc<Commands>, shutdown: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            ingest,
            commands,
            connected: Arc::default(),
            limits: Limits::default(),
            shutdown,
        })
    }
}

/// Starts the endpoint.
pub(crate) async fn start(context: &Context, ingest: Arc<Ingest>, commands: Arc<Commands>) -> anyhow::Result<()> {
    let part = context.health.part("mqtt");
    let port = context.settings.ports.mqtt;
    let listener = TcpListener::bind(("0.0.0.0", port))
        .await
        .with_context(|| format!("could not listen for MQTT on port {port}"))?;
    let shared = Shared::new(ingest, commands, context.shutdown.clone());
    let encrypted = encrypted(context).await?;
    part.waits_for("the registry to be read");
    context.spawn("mqtt", async move {
        tokio::select! {
            () = shared.ingest.directory.caught_up() => {}
            () = shared.shutdown.cancelled() => return Ok(()),
        }
        part.ready();
        tracing::info!(port, encrypted = encrypted.is_some(), "listening for MQTT");
        let plain = accept(listener, None, shared.clone());
        match encrypted {
            None => plain.await,
            Some((listener, tls)) => tokio::try_join!(plain, accept(listener, Some(tls), shared)).map(drop),
        }
    });
    Ok(())
}

/// The same over TLS, where there is a certificate for devices.
async fn encrypted(context: &Context) -> anyhow::Result<Option<(TcpListener, TlsAcceptor)>> {
    let Some(tls) = runtime::tls::server_of(context.settings.public_certificate.as_deref())? else {
        return Ok(None);
    };
    let port = context.settings.ports.mqtt_tls;
    let listener = TcpListener::bind(("0.0.0.0", port))
        .await
        .with_context(|| format!("could not listen for MQTT over TLS on port {port}"))?;
    Ok(Some((listener, TlsAcceptor::from(tls))))
}

/// Serves a client over TLS; one that does not come to terms is gone as one that says nothing.
async fn encrypt(socket: TcpStream, tls: &TlsAcceptor, shared: Arc<Shared>) {
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(shared.limits.connect_timeout, tls.accept(socket)) => accepted,
        () = shared.shutdown.cancelled() => return,
    };
    match accepted {
        Ok(Ok(stream)) => connection::serve(stream, shared).await,
        Ok(Err(error)) => tracing::debug!(%error, "no TLS with a client"),
        Err(_) => tracing::debug!("a client was too slow for TLS"),
    }
}

/// Accepts clients until the service ends, and then lets them finish.
pub(crate) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shared.shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, address)) => {
                let Ok(place) = places.clone().try_acquire_owned() else {
                    metrics::counter!("mqtt_refused_total", "reason" => "TooManyConnections").increment(1);
                    tracing::warn!(%address, "refused a client: there are {MAX_CONNECTIONS} connections");
                    continue;
                };
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "could not turn nagle's algorithm off");
                }
                let (shared, tls) = (shared.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => connection::serve(socket, shared).await,
                        Some(tls) => encrypt(socket, &tls, shared).await,
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // No more file descriptors, for example: it passes.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
    Ok(())
}

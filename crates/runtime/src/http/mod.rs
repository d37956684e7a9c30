//! HTTP/1.1 as every service serves it: with limits on connections, headers, bodies and on its own end.
//!
//! # Invariants
//! - Whoever sends nothing, or a head byte by byte, is cut off after [`Limits::headers`]; a body that pauses, after [`BODY_PAUSE`].
//! - More than [`Limits::connections`] wait in the kernel.
//! - Every request carries [`ConnectInfo`] with the address of the other end, and [`Link`].

mod problem;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tower_http::timeout::RequestBodyTimeoutLayer;

pub use problem::Problem;

/// How long a body may pause.
pub const BODY_PAUSE: Duration = Duration::from_secs(15);
/// How long requests may go on when the process ends.
const GRACE: Duration = Duration::from_secs(3);

/// Limits of one server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// How long the head of a request may take to come, counted from the end of the one before: also how long a connection may be
    /// idle. A sender that keeps its connection open between two readings needs a longer one than a browser.
    pub headers: Duration,
}

impl Limits {
    /// For programs that keep their connections: sensors, applications.
    pub const PROGRAMS: Self = Self {
        connections: 12_000,
        headers: Duration::from_secs(75),
    };
    /// For people: browsers open another connection when they need one.
    pub const PEOPLE: Self = Self {
        connections: 2000,
        headers: Duration::from_secs(10),
    };
}

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// As it is.
    Plain,
    /// Over TLS.
    Encrypted,
}

/// Where a server listens, and how.
pub struct Door {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    open: Option<Open>,
}

/// Says whether connections are let in.
pub type Open = Arc<dyn Fn() -> bool + Send + Sync>;

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("listener", &self.listener)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl Door {
    /// With TLS where there is something to show.
    #[must_use]
    pub fn new(listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Self {
        Self {
            listener,
            tls,
            open: None,
        }
    }

    /// Lets connections in only while `open` says so: the others are closed at once, so that who knows another door goes there.
    #[must_use]
    pub fn open_while(self, open: Option<Open>) -> Self {
        Self { open, ..self }
    }
}

impl From<TcpListener> for Door {
    fn from(listener: TcpListener) -> Self {
        Self::new(listener, None)
    }
}

/// Serves until the process ends.
///
/// # Errors
/// Never; the type fits a task of the service.
pub async fn serve(
    door: impl Into<Door>,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Door { listener, tls, open } = door.into();
    let tls = tls.map(TlsAcceptor::from);
    let router = router.layer(RequestBodyTimeoutLayer::new(BODY_PAUSE));
    let room = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = room.clone().acquire_owned() => {
                let permit = permit?;
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    accepted = listener.accept() => accepted.map(|accepted| (accepted, permit)),
                }
            }
        };
        match accepted {
            Ok(((stream, _), _)) if open.as_ref().is_some_and(|open| !open()) => drop(stream),
            Ok(((stream, address), permit)) => {
                let served = opened(stream, tls.clone(), address, router.clone(), limits, shutdown.clone());
                connections.spawn(async move {
                    served.await;
                    drop(permit);
                });
            }
            Err(error) => {
                // No file handles left, or the other end went away; both pass.
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::debug!("some requests were cut off");
    }
    Ok(())
}

async fn opened(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    address: SocketAddr,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection answers in larger pieces");
    }
    let Some(tls) = tls else {
        return connection(stream, (address, Link::Plain), router, limits, shutdown).await;
    };
    match tokio::time::timeout(limits.headers, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, (address, Link::Encrypted), router, limits, shutdown).await,
        Ok(Err(error)) => tracing::debug!(%address, %error, "no TLS with a client"),
        Err(_) => tracing::debug!(%address, "a client was too slow for TLS"),
    }
}

async fn connection<S>(
    stream: S,
    (address, link): (SocketAddr, Link),
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        request.extensions_mut().insert(link);
        let router = router.clone();
        async move { Ok::<_, Infallible>(answer(router, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}

async fn answer(router: Router, request: hyper::Request<Incoming>) -> Response {
    match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests;

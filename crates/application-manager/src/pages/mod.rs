//! Applications' pages, on an origin of their own: `/<key>/…` is proxied to a healthy replica of the key's instance.
//!
//! A key is random, belongs to one user and one instance, and ends with the instance. Whoever has it sees the pages: that
//! is the right to them, because this origin gets no platform cookies.
//!
//! # Invariants
//! - A platform cookie never reaches an application, and an application never sets one.
//! - An application's cookies are bound to its own key's path.
//! - What was sent to a replica is sent to another one only if that can do no harm.

mod balance;
mod cookies;
mod error;
mod forward;
mod headers;
mod keys;
mod pool;
mod upgrade;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use common::Timestamp;
use common::settings::Settings;
use runtime::{Context, TailFrom, http};
use tokio::net::TcpListener;

pub use keys::{PageKey, PageKeys};

use error::Fault;
use forward::Client;
use pool::Pool;
use view::{Standing, View};

/// Serves pages until the service ends: a server on `ports.applications` and a tail of `instance.events`.
///
/// # Errors
/// When the port is taken or the service is shut down while it waits for Kafka.
pub async fn run(context: &Context, keys: PageKeys) -> anyhow::Result<()> {
    let view = Arc::new(View::default());
    let port = context.settings.ports.applications;
    let listener = TcpListener::bind(("0.0.0.0", port))
        .await
        .with_context(|| format!("could not listen on port {port}"))?;
    // An instance that begins from now on may have a key before this copy knows it; clocks of hosts differ by seconds.
    let opened = Timestamp::now().plus_millis(-60_000);
    let tail = context.tail(TailFrom::Beginning).await?;
    let part = context.health.part("places of pages");
    part.waits_for("instance.events");
    context.spawn_until_shutdown(
        "places of pages",
        view::follow((tail, opened), view.clone(), keys.clone(), part),
    );
    let router = Pages::new(view, keys).router();
    let tls = runtime::tls::server_of(context.settings.public_certificate.as_deref())?;
    let door = http::Door::new(listener, tls);
    let served = http::serve(door, router, http::Limits::PEOPLE, context.shutdown.clone());
    context.spawn_until_shutdown("pages", served);
    Ok(())
}

/// The origin of pages as people reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: &'static str,
    /// Where it is not known by which name someone came.
    host: String,
    port: u16,
}

impl Origin {
    fn of(settings: &Settings) -> Self {
        Self {
            scheme: match settings.public_certificate {
                Some(_) => "https",
                None => "http",
            },
            host: settings.public_address.clone(),
            port: settings.ports.applications,
        }
    }
}

/// What a request needs.
#[derive(Clone)]
struct Pages {
    view: Arc<View>,
    keys: PageKeys,
    pool: Arc<Pool>,
    client: Client,
}

impl Pages {
    fn new(view: Arc<View>, keys: PageKeys) -> Self {
        Self {
            view,
            keys,
            pool: Arc::new(Pool::default()),
            client: forward::client(),
        }
    }

    fn router(self) -> Router {
        Router::new().fallback(serve).with_state(self)
    }
}

async fn serve(
    State(pages): State<Pages>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let mut response = match proxy(&pages, peer, request).await {
        Ok(response) => response,
        Err(fault) => fault.page(),
    };
    let headers = response.headers_mut();
    // The address is the key: it must not travel to other sites.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    response
}

async fn proxy(pages: &Pages, peer: SocketAddr, request: Request) -> Result<Response<Body>, Fault> {
    // The request goes on to the replica, its address does not.
    let uri = request.uri().clone();
    let Some((key, rest)) = split(uri.path()) else {
        return Err(Fault::Unknown);
    };
    let Some(entry) = pages.keys.find(key).await.map_err(|error| {
        tracing::warn!(%error, "a page key could not be looked up");
        Fault::Unavailable
    })?
    else {
        return Err(Fault::Unknown);
    };
    let endpoints = match pages.view.standing(entry.instance) {
        Standing::Serving(endpoints) => endpoints,
        Standing::NotYet { title, why } => return Err(Fault::NotYet { title, why }),
        Standing::NoPage { title } => return Err(Fault::NoPage { title }),
        Standing::Ended { title } => return Err(Fault::Ended { title }),
        Standing::Unknown => return Err(Fault::Unavailable),
    };
    if rest.is_empty() {
        return Ok(to_folder(key, uri.query()));
    }
    forward::forward(
        pages,
        &forward::Target {
            key,
            rest,
            endpoints: &endpoints,
            peer,
        },
        request,
    )
    .await
}

/// Splits `/<key>/rest` into the key and `/rest`; the rest is empty without the second slash.
fn split(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    let (key, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    let fits = key.len() == keys::LENGTH && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then_some((key, rest))
}

/// Relative addresses in a page work only below its folder.
fn to_folder(key: &str, query: Option<&str>) -> Response<Body> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    if let Ok(place) = HeaderValue::from_str(&format!("/{key}/{query}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

#[cfg(test)]
mod tests;

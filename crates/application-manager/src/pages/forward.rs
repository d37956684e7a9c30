//! One request to a replica and its answer back, both as streams.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{Method, Response, Uri, request};
use bytes::Bytes;
use common::messages::instance::Endpoint;
use http_body_util::Empty;
use hyper::body::{Frame, SizeHint};
use hyper_util::client::legacy::Error;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::error::Fault;
use super::pool::InFlight;
use super::{Pages, headers, upgrade};

/// How long a replica may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// How long it may take to begin its answer; long polls end well before.
const FIRST_BYTE: Duration = Duration::from_secs(120);

pub(super) type Client = hyper_util::client::legacy::Client<HttpConnector, Body>;

/// Makes the client, with its pool of connections to replicas.
pub(super) fn client() -> Client {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_nodelay(true);
    hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(20))
        .pool_max_idle_per_host(16)
        // Whether to try again is decided here, by method and replica.
        .retry_canceled_requests(false)
        .build(connector)
}

/// Where a request goes.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) key: &'a str,
    pub(super) rest: &'a str,
    pub(super) endpoints: &'a [Endpoint],
    pub(super) peer: SocketAddr,
}

/// Sends a request to the best replica; to another one when that can do no harm.
pub(super) async fn forward(pages: &Pages, target: &Target<'_>, mut request: Request) -> Result<Response<Body>, Fault> {
    let from_browser = headers::upgrade(request.headers()).map(|_| hyper::upgrade::on(&mut request));
    let path = path_and_query(target.rest, request.uri().query());
    let (mut parts, body) = request.into_parts();
    headers::to_application(&mut parts.headers, target.key, target.peer);
    let mut body = Some(body).filter(|body| !body.is_end_stream());
    let repeatable = body.is_none() && from_browser.is_none() && is_idempotent(&parts.method);
    let mut tried = Vec::new();
    loop {
        let Some(in_flight) = pages.pool.take(target.endpoints, &tried) else {
            return Err(Fault::Unreachable);
        };
        let sent_body = body.is_some();
        let outgoing = rebuild(&parts, in_flight.address(), &path, body.take()).ok_or(Fault::Unknown)?;
        match tokio::time::timeout(FIRST_BYTE, pages.client.request(outgoing)).await {
            Ok(Ok(response)) => {
                pages.pool.answered(in_flight.address());
                return Ok(answer(target.key, response, in_flight, from_browser));
            }
            Ok(Err(error)) => {
                let unsent = error.is_connect();
                tracing::debug!(
                    replica = in_flight.address(),
                    error = describe(&error),
                    "a replica did not answer"
                );
                if unsent {
                    pages.pool.eject(in_flight.address());
                }
                // A request whose body is gone, or that may have had an effect, is not sent again.
                if sent_body || !(unsent || repeatable) {
                    return Err(if unsent { Fault::Unreachable } else { Fault::NoAnswer });
                }
                tried.push(in_flight.address().to_owned());
            }
            Err(_) => return Err(Fault::NoAnswer),
        }
    }
}

fn describe(error: &Error) -> String {
    let source = std::error::Error::source(error)
        .map(|source| format!(": {source}"))
        .unwrap_or_default();
    format!("{error}{source}")
}

fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    )
}

fn path_and_query(rest: &str, query: Option<&str>) -> String {
    query.map_or_else(|| rest.to_owned(), |query| format!("{rest}?{query}"))
}

fn rebuild(parts: &request::Parts, address: &str, path: &str, body: Option<Body>) -> Option<Request> {
    let uri: Uri = format!("http://{address}{path}").parse().ok()?;
    let mut request = Request::new(body.unwrap_or_else(|| Body::new(Empty::<Bytes>::new())));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = parts.headers.clone();
    Some(request)
}

fn answer(
    key: &str,
    mut response: Response<hyper::body::Incoming>,
    in_flight: InFlight,
    from_browser: Option<hyper::upgrade::OnUpgrade>,
) -> Response<Body> {
    if let (axum::http::StatusCode::SWITCHING_PROTOCOLS, Some(from_browser)) = (response.status(), from_browser) {
        let to_replica = hyper::upgrade::on(&mut response);
        tokio::spawn(upgrade::join(from_browser, to_replica, in_flight));
        headers::to_browser(response.headers_mut(), key);
        return response.map(|_| Body::empty());
    }
    headers::to_browser(response.headers_mut(), key);
    response.map(|body| {
        Body::new(Counted {
            body,
            in_flight: Some(in_flight),
        })
    })
}

/// A body that counts as in flight until its end.
struct Counted {
    body: hyper::body::Incoming,
    in_flight: Option<InFlight>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(task);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.in_flight = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

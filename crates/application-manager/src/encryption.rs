//! Where there is a certificate for people, they are led to it: the plain port then only serves this host.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Leads a request over the plain port to the encrypted one, unless it comes from this host: there nobody listens in.
pub(crate) async fn lead(State(port): State<u16>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if peer.is_some_and(|ConnectInfo(peer)| peer.ip().is_loopback()) {
        return next.run(request).await;
    }
    match goal(request.headers(), request.uri(), port) {
        Some(goal) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, goal)]).into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// By which name or address the client came, without a port.
pub(crate) fn host_name(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    // The port behind a name, not a colon within an address of version 6.
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    Some(name)
}

/// The same address over TLS.
fn goal(headers: &HeaderMap, uri: &Uri, port: u16) -> Option<String> {
    let name = host_name(headers)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Some(match port {
        443 => format!("https://{name}{path}"),
        port => format!("https://{name}:{port}{path}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_address_over_tls() {
        for (host, path, port, expected) in [
            ("iot.example", "/apps?x=1", 443, "https://iot.example/apps?x=1"),
            ("iot.example:80", "/", 8443, "https://iot.example:8443/"),
            (
                "192.0.2.1:8080",
                "/api/v1/session",
                443,
                "https://192.0.2.1/api/v1/session",
            ),
            ("[2001:db8::1]", "/", 443, "https://[2001:db8::1]/"),
            ("[2001:db8::1]:80", "/", 443, "https://[2001:db8::1]/"),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            assert_eq!(goal(&headers, &path.parse().unwrap(), port).as_deref(), Some(expected));
        }
        assert_eq!(goal(&HeaderMap::new(), &Uri::from_static("/"), 443), None);
    }
}

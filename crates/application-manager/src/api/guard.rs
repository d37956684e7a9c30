//! What is checked and noted for every request, before and after its handler.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use common::messages::log::AuditEntry;
use common::{MessageId, Timestamp};

use super::ApiError;
use crate::access::{ActorSlot, Peer};
use crate::app::App;
use crate::view::position::{self, Position};

/// How long an answer waits for its audit entry.
const AUDIT: Duration = Duration::from_secs(2);

fn changes_state(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Cookie and header with what the copy that answered last has shown: browsers may reach another one with each request.
const SHOWN_COOKIE: &str = "iot_shown";
const SHOWN_HEADER: &str = "x-shown";
/// How long a request waits until this copy shows as much.
const AS_MUCH: Duration = Duration::from_millis(1500);

/// Answers 503 until the view holds what was there before; and waits until it holds what the caller has seen of another copy.
pub(super) async fn started(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let needs_view =
        request.uri().path().starts_with("/api/v1/") && !request.uri().path().starts_with("/api/v1/session");
    if needs_view && !app.view.is_complete() {
        return ApiError::unavailable("the platform is starting; try again in a moment").into_response();
    }
    let position = shown_to(request.headers());
    if needs_view && !app.view.reach(&position, AS_MUCH).await {
        metrics::counter!("views_behind_total").increment(1);
        tracing::debug!("this copy does not show yet what another one has shown");
    }
    let changes = changes_state(request.method());
    let mut response = next.run(request).await;
    if changes {
        tell_shown(&mut response, &position::write(&app.view.recent()));
    }
    response
}

/// What the caller has seen.
fn shown_to(headers: &HeaderMap) -> Position {
    let text = |name: header::HeaderName| {
        headers
            .get_all(name)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
    };
    let cookies = text(header::COOKIE).flat_map(|cookies| cookies.split(';'));
    let cookies = cookies.filter_map(|cookie| cookie.trim().strip_prefix(SHOWN_COOKIE)?.strip_prefix('='));
    let header = text(header::HeaderName::from_static(SHOWN_HEADER));
    cookies.chain(header).flat_map(position::read).collect()
}

fn tell_shown(response: &mut Response, shown: &str) {
    let seconds = position::REMEMBERED.as_secs();
    let cookie = format!("{SHOWN_COOKIE}={shown}; Path=/api/; Max-Age={seconds}; HttpOnly; SameSite=Strict");
    let header = header::HeaderName::from_static(SHOWN_HEADER);
    for (name, value) in [(header::SET_COOKIE, cookie.as_str()), (header, shown)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().append(name, value);
        }
    }
}

/// Refuses changes that another site's page makes in the name of who is signed in here.
pub(super) async fn origin(request: Request, next: Next) -> Response {
    if changes_state(request.method())
        && let Err(error) = check_origin(request.headers()).and_then(|()| check_content_type(request.headers()))
    {
        return error.into_response();
    }
    next.run(request).await
}

/// Applications' pages are on another port of the same host: same site, so cookies come along; only the origin tells.
fn check_origin(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign = || {
        ApiError::new(
            StatusCode::FORBIDDEN,
            "foreign-origin",
            "another site's page may not change anything here",
        )
    };
    if headers.contains_key("sec-fetch-site") && !matches!(text("sec-fetch-site"), Some("same-origin" | "none")) {
        return Err(foreign());
    }
    if !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    let own = text("host");
    let origin = text("origin")
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, host)| host);
    if origin.is_some() && origin == own {
        Ok(())
    } else {
        Err(foreign())
    }
}

/// A form of another site can send text and forms, but not JSON.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .map(|value| value.as_bytes() != b"0");
    let has_body = length.unwrap_or_else(|| headers.contains_key(header::TRANSFER_ENCODING));
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let fits = ["application/json", "multipart/form-data"].iter().any(|allowed| {
        kind.get(..allowed.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(allowed))
    });
    if has_body && !fits {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "send the body as application/json",
        ));
    }
    Ok(())
}

/// Answers 503 when a handler takes too long.
pub(super) async fn deadline(limit: Duration, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| ApiError::unavailable("this took too long; try again").into_response())
}

/// Counts requests and measures how long they take, by route.
pub(super) async fn measure(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().as_str().to_owned();
    // Only addresses that routes know become labels: others are as many as someone likes.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::histogram!("http_request_seconds", "method" => method, "route" => route, "status" => status)
        .record(started.elapsed().as_secs_f64());
    response
}

/// Writes down who changed what.
pub(super) async fn audit(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if !changes_state(request.method()) || request.uri().path().ends_with("/preview") {
        return next.run(request).await;
    }
    let slot = ActorSlot::default();
    request.extensions_mut().insert(slot.clone());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let action = format!("{} {}", request.method(), route.unwrap_or_default());
    // Before: a deletion takes the name along.
    let mut subject = app.view.read().subject(request.uri().path());
    let address = Peer::of(request.extensions()).map_or_else(String::new, Peer::address);
    let response = next.run(request).await;
    let made = response
        .headers()
        .get(header::LOCATION)
        .and_then(|made| made.to_str().ok());
    if let Some(made) = made.filter(|_| response.status() == StatusCode::CREATED) {
        subject = app.view.read().subject(made);
    }
    if let Some(actor) = slot.0.get() {
        let entry = AuditEntry::Changed {
            actor: actor.id,
            actor_name: actor.name.clone(),
            action,
            subject,
            status: response.status().as_u16(),
            address,
            at: Timestamp::now(),
        };
        let published = tokio::time::timeout(AUDIT, app.bus.publish_first(MessageId::new(), entry.clone())).await;
        if !matches!(published, Ok(Ok(()))) {
            metrics::counter!("audit_entries_lost_total").increment(1);
            tracing::error!(?entry, "an audit entry could not be published");
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_the_own_origin_may_change_things() {
        let table: [(&[(&str, &str)], bool); 8] = [
            (&[("host", "iot.example")], true),
            (&[("host", "iot.example"), ("origin", "http://iot.example")], true),
            (&[("host", "iot.example"), ("origin", "http://iot.example:8081")], false),
            (&[("host", "iot.example"), ("origin", "null")], false),
            (&[("host", "iot.example"), ("origin", "https://evil.example")], false),
            (&[("host", "iot.example"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "iot.example"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "iot.example"), ("sec-fetch-site", "cross-site")], false),
        ];
        for (pairs, allowed) in table {
            assert_eq!(check_origin(&headers(pairs)).is_ok(), allowed, "{pairs:?}");
        }
    }

    #[test]
    fn what_was_shown_comes_back() {
        let mut response = Response::default();
        tell_shown(&mut response, "registry.events:2:42");
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        let (cookie, attributes) = cookie.split_once(';').unwrap();
        assert_eq!(attributes, " Path=/api/; Max-Age=20; HttpOnly; SameSite=Strict");
        let cookies = format!("iot_session=a; {cookie}");
        let expected = position::read("registry.events:2:42");
        let sent: [&[(&'static str, &str)]; 2] = [&[("cookie", &cookies)], &[("x-shown", "registry.events:2:42")]];
        for pairs in sent {
            let headers = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            assert_eq!(shown_to(&headers.collect()), expected);
        }
        assert!(shown_to(&HeaderMap::new()).is_empty());
    }

    #[test]
    fn bodies_are_json_or_uploads() {
        let table: [(&[(&str, &str)], bool); 6] = [
            (&[], true),
            (&[("content-length", "0")], true),
            (&[("content-length", "2")], false),
            (&[("content-length", "2"), ("content-type", "text/plain")], false),
            (
                &[
                    ("content-length", "2"),
                    ("content-type", "application/json; charset=utf-8"),
                ],
                true,
            ),
            (
                &[
                    ("transfer-encoding", "chunked"),
                    ("content-type", "application/x-www-form-urlencoded"),
                ],
                false,
            ),
        ];
        for (pairs, allowed) in table {
            assert_eq!(check_content_type(&headers(pairs)).is_ok(), allowed, "{pairs:?}");
        }
    }
}

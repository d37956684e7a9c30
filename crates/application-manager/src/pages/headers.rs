//! Which headers pass the proxy. Pure.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::cookies;

/// Headers that are about one connection only.
const HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Returns the protocol that a message wants to change to.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    tokens(headers, &header::CONNECTION)
        .any(|token| token.eq_ignore_ascii_case("upgrade"))
        .then(|| headers.get(header::UPGRADE).cloned())
        .flatten()
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
}

/// Removes what is about one connection only, also what `Connection` names, and keeps a wanted change of protocol.
fn without_hop(headers: &mut HeaderMap) {
    let wanted = upgrade(headers);
    let named: Vec<HeaderName> = tokens(headers, &header::CONNECTION)
        .filter_map(|token| token.parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP {
        headers.remove(name);
    }
    if let Some(protocol) = wanted {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
}

/// Makes the headers of a request to an application.
pub(super) fn to_application(headers: &mut HeaderMap, key: &str, peer: SocketAddr) {
    without_hop(headers);
    let forwarded: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            name.as_str().starts_with("x-forwarded-") || *name == header::FORWARDED || name.as_str() == "x-real-ip"
        })
        .cloned()
        .collect();
    for name in forwarded {
        headers.remove(name);
    }
    let cookies: Vec<String> = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter_map(cookies::without_platform)
        .collect();
    headers.remove(header::COOKIE);
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    if !cookies.is_empty() {
        set("cookie", &cookies.join("; "));
    }
    set("x-forwarded-prefix", &format!("/{key}"));
    set("x-forwarded-for", &peer.ip().to_string());
    set("x-forwarded-proto", "http");
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert("x-forwarded-host", host);
    }
}

/// Makes the headers of an answer to a browser.
pub(super) fn to_browser(headers: &mut HeaderMap, key: &str) {
    without_hop(headers);
    let cookies: Vec<HeaderValue> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|value| cookies::bound_to(key, value.to_str().ok()?))
        .filter_map(|value| HeaderValue::from_str(&value).ok())
        .collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
    // An application that does not know of its prefix redirects to its own root.
    let place = headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|place| below(key, place));
    if let Some(place) = place.and_then(|place| HeaderValue::from_str(&place).ok()) {
        headers.insert(header::LOCATION, place);
    }
    // Others' files (a service worker above all) must not act for the whole origin.
    headers.remove("service-worker-allowed");
    headers.remove("clear-site-data");
}

fn below(key: &str, place: &str) -> Option<String> {
    let absolute = place.starts_with('/') && !place.starts_with("//");
    (absolute && !place.starts_with(&format!("/{key}/"))).then(|| format!("/{key}{place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn lines(map: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> = map
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_request_on_its_way() {
        let mut headers = map(&[
            ("host", "example.org:8081"),
            ("connection", "keep-alive, x-one-hop"),
            ("x-one-hop", "1"),
            ("te", "trailers"),
            ("cookie", "iot_session=secret; theme=dark"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-prefix", "/forged"),
            ("accept", "*/*"),
        ]);
        to_application(&mut headers, "k", "10.0.0.9:5000".parse().unwrap());
        assert_eq!(
            lines(&headers),
            [
                "accept: */*",
                "cookie: theme=dark",
                "host: example.org:8081",
                "x-forwarded-for: 10.0.0.9",
                "x-forwarded-host: example.org:8081",
                "x-forwarded-prefix: /k",
                "x-forwarded-proto: http",
            ]
        );
    }

    #[test]
    fn a_wanted_change_of_protocol_passes() {
        let mut headers = map(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "x"),
        ]);
        assert_eq!(upgrade(&headers).unwrap(), "websocket");
        without_hop(&mut headers);
        assert_eq!(
            lines(&headers),
            ["connection: upgrade", "sec-websocket-key: x", "upgrade: websocket"]
        );
        let mut lone = map(&[("upgrade", "h2c")]);
        assert_eq!(upgrade(&lone), None);
        without_hop(&mut lone);
        assert!(lone.is_empty());
    }

    #[test]
    fn an_answer_on_its_way() {
        let mut headers = map(&[
            ("transfer-encoding", "chunked"),
            ("set-cookie", "iot_session=forged; Path=/"),
            ("set-cookie", "a=1"),
            ("location", "/login"),
            ("service-worker-allowed", "/"),
        ]);
        to_browser(&mut headers, "k");
        assert_eq!(lines(&headers), ["location: /k/login", "set-cookie: a=1; Path=/k/"]);
        for (place, expected) in [
            ("/k/x", None),
            ("x", None),
            ("//evil/x", None),
            ("http://other/", None),
            ("/", Some("/k/")),
        ] {
            assert_eq!(below("k", place).as_deref(), expected, "{place}");
        }
    }
}

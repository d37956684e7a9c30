//! Cookies between a browser and an application: browsers share them between all ports of a host. Pure.

/// Cookies of the platform begin so.
const PLATFORM: &str = "iot_";

/// Takes the platform's cookies out of a `Cookie` header; none when nothing is left.
pub(super) fn without_platform(header: &str) -> Option<String> {
    let kept: Vec<&str> = header
        .split(';')
        .map(str::trim)
        .filter(|cookie| !cookie.is_empty() && !is_platform(cookie))
        .collect();
    (!kept.is_empty()).then(|| kept.join("; "))
}

/// Binds a `Set-Cookie` to the path of a key, and to this host; none when it would set a cookie of the platform.
pub(super) fn bound_to(key: &str, header: &str) -> Option<String> {
    let mut parts = header.split(';').map(str::trim);
    let cookie = parts
        .next()
        .filter(|cookie| !cookie.is_empty() && !is_platform(cookie))?;
    let mut path = "/".to_owned();
    let mut bound = vec![cookie.to_owned()];
    for part in parts.filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if name.eq_ignore_ascii_case("path") {
            value.clone_into(&mut path);
        } else if !name.eq_ignore_ascii_case("domain") {
            bound.push(part.to_owned());
        }
    }
    let prefix = format!("/{key}/");
    if !path.starts_with(&prefix) {
        path = format!("/{key}/{}", path.trim_start_matches('/'));
    }
    bound.push(format!("Path={path}"));
    Some(bound.join("; "))
}

/// Names are compared as browsers send them; a prefix such as `__Host-` makes another cookie.
fn is_platform(cookie: &str) -> bool {
    cookie
        .split('=')
        .next()
        .unwrap_or(cookie)
        .trim()
        .to_ascii_lowercase()
        .starts_with(PLATFORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platforms_cookies_do_not_pass() {
        let table = [
            ("iot_session=secret", None),
            ("a=1; iot_session=secret; b=2", Some("a=1; b=2")),
            ("a=1;IOT_Session=x", Some("a=1")),
            ("iot=1", Some("iot=1")),
            (" ; ", None),
        ];
        for (header, expected) in table {
            assert_eq!(without_platform(header).as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn an_applications_cookies_stay_with_its_key() {
        let table = [
            ("a=1", Some("a=1; Path=/k/")),
            ("a=1; Path=/; HttpOnly", Some("a=1; HttpOnly; Path=/k/")),
            ("a=1; path=/x; Domain=.example.org", Some("a=1; Path=/k/x")),
            ("a=1; Path=/k/x", Some("a=1; Path=/k/x")),
            ("a=1; Path=/other/x", Some("a=1; Path=/k/other/x")),
            ("iot_session=stolen; Path=/", None),
            ("", None),
        ];
        for (header, expected) in table {
            assert_eq!(bound_to("k", header).as_deref(), expected, "{header}");
        }
    }
}

//! The console, embedded in the program: brotli or gzip, `ETag`, one page for every address that is no file.
//!
//! Files below `/assets/` carry the hash of their content in their name and never change; everything else is asked for again.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;

/// What a page of the console may load: nothing from anywhere else. Components set styles in place.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; \
                      object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

/// Returns the console, to be the fallback of the API: `router.fallback_service(embedded::console())`.
///
/// Call it once, at the start: it keeps the files for as long as the process lives.
pub fn console() -> Router {
    with_rules(files())
}

fn with_rules(files: Router) -> Router {
    files.layer(from_fn(rules))
}

#[cfg(console_embedded)]
fn files() -> Router {
    use memory_serve::{CacheControl, MemoryServe};
    let folders: &[(&str, &[memory_serve::Asset])] = include!(concat!(env!("OUT_DIR"), "/memory_serve_assets.rs"));
    let assets = folders.first().map_or(&[][..], |(_, assets)| assets);
    MemoryServe::new(assets)
        .fallback(Some("/index.html"))
        .fallback_status(StatusCode::OK)
        .html_cache_control(CacheControl::NoCache)
        .cache_control(CacheControl::NoCache)
        .into_router()
}

/// A debug build without a fresh console says so.
#[cfg(not(console_embedded))]
fn files() -> Router {
    let page = || async {
        let html = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>No console</title>\
             <body style=\"font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto\">\
             <h1>No console in this build</h1><p>{}</p><p>The API is at <a href=\"/api/v1/\">/api/v1</a>.</p>",
            env!("CONSOLE_PROBLEM")
        );
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        (StatusCode::SERVICE_UNAVAILABLE, headers, html)
    };
    Router::new().fallback(page)
}

/// Whether an address is a file with the hash of its content in its name.
fn is_asset(path: &str) -> bool {
    path.starts_with("/assets/")
}

async fn rules(request: Request, next: Next) -> Response<Body> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let asset = is_asset(request.uri().path());
    let mut response = next.run(request).await;
    let html = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if asset && html && response.status().is_success() {
        // A page in place of a script would be a riddle; it happens when a browser still has the page of an older build.
        return StatusCode::NOT_FOUND.into_response();
    }
    let headers = response.headers_mut();
    if asset {
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        );
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tower::ServiceExt as _;

    /// Stands for a built console: one page, one asset.
    fn built() -> Router {
        let page = || async { ([(header::CONTENT_TYPE, "text/html")], "<!doctype html>") };
        let script = || async {
            (
                [
                    (header::CONTENT_TYPE, "text/javascript"),
                    (header::CACHE_CONTROL, "no-cache"),
                ],
                "1",
            )
        };
        with_rules(Router::new().route("/assets/index-3f9a.js", get(script)).fallback(page))
    }

    async fn ask(router: Router, method: Method, path: &str) -> Response<Body> {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        router.oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn assets_never_change_and_pages_are_for_every_address() {
        let asset = ask(built(), Method::GET, "/assets/index-3f9a.js").await;
        assert_eq!(
            asset.headers()[header::CACHE_CONTROL],
            "public, max-age=31536000, immutable"
        );
        let page = ask(built(), Method::GET, "/instances/some-run").await;
        assert_eq!(page.status(), 200);
        assert!(
            page.headers()[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .contains("frame-ancestors 'none'")
        );
        assert_eq!(ask(built(), Method::GET, "/assets/index-gone.js").await.status(), 404);
        assert_eq!(ask(built(), Method::POST, "/").await.status(), 405);
    }

    #[tokio::test]
    async fn the_console_answers_whatever_was_built() {
        let page = ask(console(), Method::GET, "/").await;
        let expected = if cfg!(console_embedded) { 200 } else { 503 };
        assert_eq!(page.status(), expected);
        assert!(
            page.headers()[header::CONTENT_TYPE]
                .to_str()
                .unwrap()
                .starts_with("text/html")
        );
    }
}

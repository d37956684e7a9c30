//! What a person sees when there is no page to show.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// No such key (any more).
    Unknown,
    /// The application has no pages.
    NoPage {
        /// The application.
        title: String,
    },
    /// It does not serve yet.
    NotYet {
        /// The application.
        title: String,
        /// What it waits for.
        why: String,
    },
    /// It is over.
    Ended {
        /// The application.
        title: String,
    },
    /// No replica took the request.
    Unreachable,
    /// A replica took the request and broke off, or did not answer in time.
    NoAnswer,
    /// The platform itself can not tell now.
    Unavailable,
}

impl Fault {
    /// Makes the page.
    pub(super) fn page(&self) -> Response<Body> {
        let (status, title, text, again) = self.words();
        let title = escape(&title);
        let text = escape(&text);
        let refresh = if again {
            "<meta http-equiv=\"refresh\" content=\"3\">"
        } else {
            ""
        };
        let note = if again {
            "<p>This page looks again by itself.</p>"
        } else {
            ""
        };
        let html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">{refresh}<title>{title}</title>\
             <style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1.5rem}}\
             h1{{font-size:1.4rem;margin-bottom:.5rem}}</style></head><body><main><h1>{title}</h1><p>{text}</p>{note}</main></body></html>"
        );
        let mut response = Response::new(Body::from(html));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
        );
        if again {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("3"));
        }
        response
    }

    fn words(&self) -> (StatusCode, String, String, bool) {
        let console = "Open the application's page from the console to get a new address.";
        match self {
            Self::Unknown => (
                StatusCode::NOT_FOUND,
                "There is no page at this address".to_owned(),
                format!("The application has ended, or the address is not complete. {console}"),
                false,
            ),
            Self::NoPage { title } => (
                StatusCode::NOT_FOUND,
                format!("{title} has no pages"),
                "What it does is shown in the console: its log, notifications and commands.".to_owned(),
                false,
            ),
            Self::NotYet { title, why } => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{title} is not serving its pages yet"),
                why.clone(),
                true,
            ),
            Self::Ended { title } => (
                StatusCode::GONE,
                format!("{title} has ended"),
                "Its log and notifications are still in the console. Run it again to see its pages.".to_owned(),
                false,
            ),
            Self::Unreachable => (
                StatusCode::BAD_GATEWAY,
                "The application does not answer".to_owned(),
                "None of its copies takes a connection at the moment. The platform starts copies anew that ended."
                    .to_owned(),
                true,
            ),
            Self::NoAnswer => (
                StatusCode::BAD_GATEWAY,
                "The application gave no answer".to_owned(),
                "It took the request but did not answer it to the end. Its log in the console may say why.".to_owned(),
                false,
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The platform is busy".to_owned(),
                "It is starting, or its database does not answer at the moment.".to_owned(),
                true,
            ),
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_developer_wrote_is_text() {
        let fault = Fault::NotYet {
            title: "<script>x</script>".to_owned(),
            why: "\"a\" & 'b'".to_owned(),
        };
        let response = fault.page();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "3");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let html = std::str::from_utf8(&body).unwrap();
        assert!(!html.contains("<script>"));
        assert!(html.contains("&lt;script&gt;x&lt;/script&gt; is not serving its pages yet"));
        assert!(html.contains("&quot;a&quot; &amp; &#39;b&#39;"));
    }
}

//! Webhooks: one POST of JSON, to public addresses only, without redirects.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::messages::action::Notification;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::address::is_public;
use crate::notification::Failure;

/// Time for all of one try.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Posts notifications.
#[derive(Clone)]
pub(super) struct Webhooks {
    private_addresses: bool,
    tls: Option<TlsConnector>,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks")
            .field("private_addresses", &self.private_addresses)
            .finish_non_exhaustive()
    }
}

impl Webhooks {
    pub(super) fn new(private_addresses: bool) -> Self {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|config| TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())));
        Self {
            private_addresses,
            tls: tls.ok(),
        }
    }

    pub(super) async fn post(&self, url: &str, notification: &Notification) -> Result<(), Failure> {
        let target = Target::parse(url).map_err(Failure::permanent)?;
        tokio::time::timeout(TIMEOUT, self.try_post(&target, notification))
            .await
            .unwrap_or_else(|_| Err(Failure::passing("the webhook did not answer in time")))
    }

    async fn try_post(&self, target: &Target, notification: &Notification) -> Result<(), Failure> {
        let address = self.resolve(target).await?;
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| Failure::passing(format!("the webhook can not be reached: {error}")))?;
        let status = if target.tls {
            let tls = self
                .tls
                .as_ref()
                .ok_or_else(|| Failure::permanent("tls is not available"))?;
            let name = ServerName::try_from(target.host.clone())
                .map_err(|_| Failure::permanent(format!("`{}` is no server name", target.host)))?;
            let stream = tls
                .connect(name, stream)
                .await
                .map_err(|error| Failure::passing(format!("the webhook's certificate or tls failed: {error}")))?;
            exchange(stream, target, notification).await
        } else {
            exchange(stream, target, notification).await
        };
        judge(status.map_err(|error| Failure::passing(format!("the webhook did not answer: {error}")))?)
    }

    /// Resolves the name once; the connection goes to the address that was checked, whatever the name says a moment later.
    async fn resolve(&self, target: &Target) -> Result<SocketAddr, Failure> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((target.host.as_str(), target.port))
            .await
            .map_err(|error| Failure::passing(format!("the name `{}` is not known: {error}", target.host)))?
            .collect();
        if !self.private_addresses && addresses.iter().any(|address| !is_public(address.ip())) {
            return Err(Failure::permanent(format!(
                "`{}` leads to a private address; allowed are public ones (limits.webhook_private_addresses)",
                target.host
            )));
        }
        addresses
            .first()
            .copied()
            .ok_or_else(|| Failure::passing(format!("the name `{}` has no address", target.host)))
    }
}

/// Where a webhook is.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    tls: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("the webhook is no address: {error}"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("the webhook must begin with https:// or http://".to_owned()),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or("the webhook must name a host, without user and password")?;
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        Ok(Self {
            tls,
            host,
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

async fn exchange<S>(stream: S, target: &Target, notification: &Notification) -> anyhow::Result<StatusCode>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let body = json!({
        "id": notification.id,
        "title": notification.title,
        "text": notification.text,
        "severity": notification.severity,
        "application": notification.application,
        "instance": notification.instance,
        "at": notification.at,
    });
    let request = Request::post(target.path.as_str())
        .header(header::HOST, target.authority.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("iot-platform/", env!("CARGO_PKG_VERSION")))
        .header("idempotency-key", notification.id.to_string())
        .body(Full::new(Bytes::from(body.to_string())))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await;
    driver.abort();
    Ok(response?.status())
}

fn judge(status: StatusCode) -> Result<(), Failure> {
    let said = format!("the webhook answered {status}");
    match status.as_u16() {
        200..=299 => Ok(()),
        300..=399 => Err(Failure::permanent(format!("{said}; redirects are not followed"))),
        408 | 425 | 429 | 500.. => Err(Failure::passing(said)),
        _ => Err(Failure::permanent(said)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_webhooks() {
        let target = Target::parse("https://example.org/hook?x=1").unwrap();
        assert_eq!(
            (target.tls, target.host.as_str(), target.port, target.path.as_str()),
            (true, "example.org", 443, "/hook?x=1")
        );
        assert_eq!(Target::parse("http://[::1]:8080").unwrap().host, "::1");
        for wrong in [
            "",
            "ftp://example.org",
            "/hook",
            "example.org",
            "http://user:secret@example.org/",
            "file:///etc/passwd",
        ] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers_that_are_worth_another_try() {
        let judged = |status: u16| judge(StatusCode::from_u16(status).unwrap()).map_err(|failure| failure.permanent);
        assert_eq!(judged(204), Ok(()));
        assert_eq!(judged(302), Err(true));
        assert_eq!(judged(404), Err(true));
        assert_eq!(judged(429), Err(false));
        assert_eq!(judged(503), Err(false));
    }
}

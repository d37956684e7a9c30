//! The registry of application images: how the Engine signs in to it, and what the Engine does not do there: deleting.

use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::settings::Settings;
use http_body_util::Empty;
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Kinds of manifests that an Engine may push.
const KINDS: &str = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
/// Time that the registry gets to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What became of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// It is gone, or never was.
    Gone,
    /// This registry lets nobody delete.
    NotAllowed,
}

/// How one signs in to the registry of an installation, and whom one believes.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    account: Option<(String, String)>,
    tls: Option<TlsConnector>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("account", &self.account.as_ref().map(|(username, _)| username))
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

impl Registry {
    /// Takes what is needed from the settings.
    ///
    /// # Errors
    /// When the password or the authority's certificate cannot be read.
    pub(crate) fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        let engine = &settings.engine;
        let account = engine.registry_account.as_ref().map(|account| account.of("deployer"));
        let account = account
            .map(|(username, secret)| anyhow::Ok((username, settings.secret(&secret)?)))
            .transpose()?;
        let tls = runtime::tls::connector(engine.registry_tls.as_ref())?;
        Ok(Self { account, tls })
    }

    /// Name and password that the Engine is given to push and to pull.
    pub(crate) fn credentials(&self) -> Option<(String, String)> {
        self.account.clone()
    }

    /// Whether the registry has an image, given as `host:port/path@sha256:…`.
    ///
    /// # Errors
    /// When the registry does not answer or has difficulties: then it is not known.
    pub(crate) async fn has(&self, image: &str) -> anyhow::Result<bool> {
        let (host, path) = manifest(image).with_context(|| format!("{image} is no image in a registry"))?;
        let asked = tokio::time::timeout(TIMEOUT, self.ask(Method::HEAD, host, &path));
        match asked.await.context("the registry does not answer")?? {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            status => anyhow::bail!("the registry answers {status} to the question for {image}"),
        }
    }

    /// Deletes an image, given as `host:port/path@sha256:…`. Its layers go when the registry collects its garbage.
    ///
    /// # Errors
    /// When the registry does not answer or has difficulties; trying again is right.
    pub(crate) async fn delete(&self, image: &str) -> anyhow::Result<Deleted> {
        let (host, path) = manifest(image).with_context(|| format!("{image} is no image in a registry"))?;
        let status = tokio::time::timeout(TIMEOUT, self.ask(Method::DELETE, host, &path))
            .await
            .context("the registry does not answer")??;
        match status {
            StatusCode::NOT_FOUND => Ok(Deleted::Gone),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::FORBIDDEN => Ok(Deleted::NotAllowed),
            status if status.is_success() => Ok(Deleted::Gone),
            status => anyhow::bail!("the registry answers {status} to the deletion of {image}"),
        }
    }

    async fn ask(&self, method: Method, host: &str, path: &str) -> anyhow::Result<StatusCode> {
        let stream = TcpStream::connect(host)
            .await
            .with_context(|| format!("could not connect to the registry {host}"))?;
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", host)
            // A registry has a manifest only for who accepts its kind, and which one it is depends on the Engine that pushed it.
            .header("accept", KINDS);
        if let Some((username, password)) = &self.account {
            let basic = BASE64.encode(format!("{username}:{password}"));
            request = request.header("authorization", format!("Basic {basic}"));
        }
        let request = request.body(Empty::<bytes::Bytes>::new())?;
        match &self.tls {
            None => send(stream, request).await,
            Some(tls) => {
                let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
                let stream = tls.connect(ServerName::try_from(name.to_owned())?, stream).await?;
                send(stream, request).await
            }
        }
    }
}

/// Returns the registry and the address of the image's manifest there.
fn manifest(image: &str) -> Option<(&str, String)> {
    let (host, rest) = image.split_once('/')?;
    let (path, digest) = rest.split_once('@')?;
    Some((host, format!("/v2/{path}/manifests/{digest}")))
}

async fn send<S>(stream: S, request: hyper::Request<Empty<bytes::Bytes>>) -> anyhow::Result<StatusCode>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driving = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    driving.abort();
    Ok(answer.context("the registry did not answer")?.status())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::server;

    #[test]
    fn addresses_of_manifests() {
        for (image, expected) in [
            (
                "127.0.0.1:5000/iot/demo@sha256:ab",
                Some(("127.0.0.1:5000", "/v2/iot/demo/manifests/sha256:ab".to_owned())),
            ),
            ("demo@sha256:ab", None),
            ("127.0.0.1:5000/iot/demo:1.0.0", None),
        ] {
            assert_eq!(manifest(image), expected, "{image}");
        }
    }

    #[tokio::test]
    async fn answers_of_a_registry() {
        for (status, expected) in [
            ("202 Accepted", Some(Deleted::Gone)),
            ("404 Not Found", Some(Deleted::Gone)),
            ("405 Method Not Allowed", Some(Deleted::NotAllowed)),
            ("401 Unauthorized", None),
            ("503 Service Unavailable", None),
        ] {
            let image = format!("127.0.0.1:{}/iot/demo@sha256:ab", server(status).await);
            assert_eq!(Registry::default().delete(&image).await.ok(), expected, "{status}");
        }
        for (status, expected) in [
            ("200 OK", Some(true)),
            ("404 Not Found", Some(false)),
            ("401 Unauthorized", None),
            ("503 Service Unavailable", None),
        ] {
            let image = format!("127.0.0.1:{}/iot/demo@sha256:ab", server(status).await);
            assert_eq!(Registry::default().has(&image).await.ok(), expected, "{status}");
        }
    }
}

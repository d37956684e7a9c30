//! The registry of application images, as far as the Engine does not speak to it: deleting.

use std::time::Duration;

use anyhow::Context as _;
use http_body_util::Empty;
use hyper::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

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

/// Deletes an image, given as `host:port/path@sha256:…`. Its layers go when the registry collects its garbage.
///
/// # Errors
/// When the registry does not answer or has difficulties; trying again is right.
pub(crate) async fn delete(image: &str) -> anyhow::Result<Deleted> {
    let (host, path) = manifest(image).with_context(|| format!("{image} is no image in a registry"))?;
    let status = tokio::time::timeout(TIMEOUT, ask(host, &path))
        .await
        .context("the registry does not answer")??;
    match status {
        StatusCode::NOT_FOUND => Ok(Deleted::Gone),
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(Deleted::NotAllowed),
        status if status.is_success() => Ok(Deleted::Gone),
        status => anyhow::bail!("the registry answers {status} to the deletion of {image}"),
    }
}

/// Returns the registry and the address of the image's manifest there.
fn manifest(image: &str) -> Option<(&str, String)> {
    let (host, rest) = image.split_once('/')?;
    let (path, digest) = rest.split_once('@')?;
    Some((host, format!("/v2/{path}/manifests/{digest}")))
}

async fn ask(host: &str, path: &str) -> anyhow::Result<StatusCode> {
    let stream = TcpStream::connect(host)
        .await
        .with_context(|| format!("could not connect to the registry {host}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driving = tokio::spawn(connection);
    let request = hyper::Request::delete(path)
        .header("host", host)
        .body(Empty::<bytes::Bytes>::new())?;
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
            ("503 Service Unavailable", None),
        ] {
            let image = format!("127.0.0.1:{}/iot/demo@sha256:ab", server(status).await);
            assert_eq!(delete(&image).await.ok(), expected, "{status}");
        }
    }
}

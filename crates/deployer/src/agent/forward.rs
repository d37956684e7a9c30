//! Bytes from applications to the gateways of the platform, and back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use runtime::health::Part;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Where connections go, and whom to believe on the way.
pub(crate) struct Gateways {
    /// The nearest first.
    pub(crate) targets: Vec<SocketAddr>,
    /// Absent: as it is.
    pub(crate) tls: Option<TlsConnector>,
}

/// How long a connection waits for a gateway that is being started again.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// How long one gateway may take to answer before the next is asked.
const ANSWER: Duration = Duration::from_secs(1);

/// Listens on the bridge as soon as it is there, and forwards each connection to the first gateway that answers. Never returns.
pub(crate) async fn serve(address: SocketAddr, gateways: Gateways, part: Part) -> anyhow::Result<()> {
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) => part.waits_for(&format!("{address} ({error})")),
        }
        sleep(PAUSE).await;
    };
    part.ready();
    tracing::info!(%address, targets = ?gateways.targets, encrypted = gateways.tls.is_some(), "forwarding");
    forward_all(listener, Arc::new(gateways)).await
}

async fn forward_all(listener: TcpListener, gateways: Arc<Gateways>) -> anyhow::Result<()> {
    loop {
        match listener.accept().await {
            Ok((client, peer)) => {
                let gateways = gateways.clone();
                tokio::spawn(async move {
                    if let Err(error) = forward(client, &gateways, PATIENCE).await {
                        tracing::debug!(%peer, targets = ?gateways.targets, "a connection ended: {error:#}");
                    }
                });
            }
            // Out of file descriptors, for example: what is open goes on.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Forwards one connection until both sides have ended; one side may end before the other.
async fn forward(mut client: TcpStream, gateways: &Gateways, patience: Duration) -> anyhow::Result<()> {
    let targets = &gateways.targets;
    let (target, mut gateway) = connect(targets, patience)
        .await
        .with_context(|| format!("none of {targets:?} answers"))?;
    client.set_nodelay(true)?;
    gateway.set_nodelay(true)?;
    match &gateways.tls {
        None => copy_bidirectional(&mut client, &mut gateway).await?,
        Some(tls) => {
            let name = ServerName::from(target.ip());
            let mut gateway = timeout(PATIENCE, tls.connect(name, gateway)).await??;
            copy_bidirectional(&mut client, &mut gateway).await?
        }
    };
    Ok(())
}

/// Asks one after the other, the nearest first, until one answers.
async fn connect(targets: &[SocketAddr], patience: Duration) -> std::io::Result<(SocketAddr, TcpStream)> {
    let deadline = Instant::now() + patience;
    loop {
        let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
        for target in targets {
            // A host that is gone says nothing at all.
            match timeout(ANSWER, TcpStream::connect(target)).await {
                Ok(Ok(stream)) => return Ok((*target, stream)),
                Ok(Err(error)) => last = error,
                Err(_) => last = std::io::ErrorKind::TimedOut.into(),
            }
        }
        if Instant::now() >= deadline {
            return Err(last);
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_pass_in_both_directions_and_one_side_may_end_first() {
        let gateway = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (target, address) = (gateway.local_addr().unwrap(), listener.local_addr().unwrap());
        let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let gateways = Gateways {
            targets: vec![away, target],
            tls: None,
        };
        tokio::spawn(forward_all(listener, Arc::new(gateways)));
        let answering = tokio::spawn(async move {
            let (mut stream, _) = gateway.accept().await.unwrap();
            let mut asked = Vec::new();
            // Ends only when the client has said that it sends no more.
            stream.read_to_end(&mut asked).await.unwrap();
            stream.write_all(b"answer to ").await.unwrap();
            stream.write_all(&asked).await.unwrap();
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answering.await.unwrap();
        assert_eq!(answer, "answer to question");
    }

    #[tokio::test]
    async fn a_gateway_that_stays_away_ends_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        assert!(connect(&[nobody], Duration::ZERO).await.is_err());
    }
}

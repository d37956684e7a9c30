//! Bytes from applications to the gateways of the platform, and back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use runtime::health::Part;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Where connections go, and whom to believe on the way.
pub(crate) struct Gateways {
    /// The nearest first.
    targets: Vec<SocketAddr>,
    /// Absent: as it is.
    tls: Option<TlsConnector>,
    /// Until when the others are asked before one that did not answer.
    avoided: Mutex<HashMap<SocketAddr, Instant>>,
}

/// How long a connection waits for a gateway that is being started again.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// How long one gateway may take to answer before the next is asked.
const ANSWER: Duration = Duration::from_secs(1);
/// How long the others are asked before one that did not answer.
const AVOIDED: Duration = Duration::from_secs(5);
/// A gateway whose host says nothing for so long, while it has something to confirm, is gone.
const SILENCE: Duration = Duration::from_secs(6);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Gateways {
    pub(crate) fn new(targets: Vec<SocketAddr>, tls: Option<TlsConnector>) -> Self {
        Self {
            targets,
            tls,
            avoided: Mutex::default(),
        }
    }

    /// The nearest first, those that did not answer lately last.
    fn order(&self, now: Instant) -> Vec<SocketAddr> {
        let mut avoided = self.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        avoided.retain(|_, until| *until > now);
        let mut order = self.targets.clone();
        order.sort_by_key(|target| avoided.contains_key(target));
        order
    }

    fn avoid(&self, target: SocketAddr, now: Instant) {
        let mut avoided = self.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        avoided.insert(target, now + AVOIDED);
    }

    /// Asks one after the other until one answers, at most for so long.
    async fn connect(&self, patience: Duration) -> std::io::Result<Box<dyn Stream>> {
        let deadline = Instant::now() + patience;
        loop {
            let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
            for target in self.order(Instant::now()) {
                // A host that is gone says nothing at all.
                match timeout(ANSWER, self.open(target)).await {
                    Ok(Ok(stream)) => return Ok(stream),
                    Ok(Err(error)) => last = error,
                    Err(_) => last = std::io::ErrorKind::TimedOut.into(),
                }
                self.avoid(target, Instant::now());
            }
            if Instant::now() >= deadline {
                return Err(last);
            }
            sleep(PAUSE).await;
        }
    }

    async fn open(&self, target: SocketAddr) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        end_when_silent(&stream)?;
        Ok(match &self.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.connect(ServerName::from(target.ip()), stream).await?),
        })
    }
}

/// Has the kernel end a connection whose other end is not heard any more, also when nothing is sent.
fn end_when_silent(stream: &TcpStream) -> std::io::Result<()> {
    let millis = u32::try_from(SILENCE.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, millis)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, SILENCE / 3)?;
    sockopt::set_tcp_keepintvl(stream, SILENCE / 3)?;
    Ok(())
}

/// Listens as soon as the address is there, and forwards each connection to the first gateway that answers. Never returns.
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
    let mut gateway = gateways
        .connect(patience)
        .await
        .with_context(|| format!("none of {:?} answers", gateways.targets))?;
    client.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut gateway).await?;
    Ok(())
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
        let gateways = Gateways::new(vec![away, target], None);
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
        let gateways = Gateways::new(vec![nobody], None);
        assert!(gateways.connect(Duration::ZERO).await.is_err());
    }

    #[tokio::test]
    async fn one_that_did_not_answer_is_asked_last_for_a_while() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers = listener.local_addr().unwrap();
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let gateways = Gateways::new(vec![nobody, answers], None);
        let now = Instant::now();
        assert_eq!(gateways.order(now), [nobody, answers]);
        gateways.connect(Duration::ZERO).await.unwrap();
        assert_eq!(gateways.order(now), [answers, nobody]);
        assert_eq!(gateways.order(now + 2 * AVOIDED), [nobody, answers]);
    }

    #[tokio::test]
    async fn one_that_listens_and_does_not_speak_is_passed_over() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, key.cert.pem()).unwrap();
        let tls = runtime::tls::connector(Some(&common::settings::Tls { ca: Some(ca) })).unwrap();
        let gateways = Gateways::new(vec![address], tls);
        let began = Instant::now();
        let outcome = gateways.connect(Duration::ZERO).await;
        assert!(outcome.is_err() && began.elapsed() < 3 * ANSWER);
    }
}

//! Whether the pages of containers answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Time between two looks at one address.
const INTERVAL: Duration = Duration::from_secs(2);
/// Time that an address without an answer so far is given before the next look.
const EAGER: Duration = Duration::from_millis(250);
const TIMEOUT: Duration = Duration::from_secs(2);
/// Looks in a row that must fail before pages that answered are taken for gone.
const FAILURES: u32 = 2;

/// Host and port.
pub(crate) type Address = (String, u16);

#[derive(Debug, Clone)]
struct Seen {
    asked: bool,
    healthy: bool,
    failures: u32,
    next: Instant,
    busy: bool,
}

/// Looks at addresses in the background.
#[derive(Debug, Clone)]
pub(crate) struct Probes {
    seen: Arc<Mutex<BTreeMap<Address, Seen>>>,
    wake: Arc<Notify>,
}

impl Probes {
    /// Wakes whoever decides when an answer changes.
    pub(crate) fn new(wake: Arc<Notify>) -> Self {
        Self {
            seen: Arc::default(),
            wake,
        }
    }

    /// Says which addresses matter, with the path to ask for (none: a connection is enough), and which of them answer.
    pub(crate) fn watch(&self, wanted: &BTreeMap<Address, Option<String>>) -> BTreeSet<Address> {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|address, _| wanted.contains_key(address));
        for (address, path) in wanted {
            let state = seen.entry(address.clone()).or_insert(Seen {
                asked: false,
                healthy: false,
                failures: 0,
                next: now,
                busy: false,
            });
            if !state.busy && state.next <= now {
                state.busy = true;
                let (probes, address, path) = (self.clone(), address.clone(), path.clone());
                tokio::spawn(async move {
                    let answered = matches!(
                        tokio::time::timeout(TIMEOUT, ask(&address, path.as_deref())).await,
                        Ok(Ok(true))
                    );
                    probes.learn(&address, answered);
                });
            }
        }
        seen.iter()
            .filter(|(_, state)| state.healthy)
            .map(|(address, _)| address.clone())
            .collect()
    }

    /// Returns the addresses of which nothing is known yet.
    pub(crate) fn unknown(&self) -> BTreeSet<Address> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = seen.iter().filter(|(_, state)| !state.asked);
        unknown.map(|(address, _)| address.clone()).collect()
    }

    fn learn(&self, address: &Address, answered: bool) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = seen.get_mut(address) else { return };
        let before = state.healthy;
        state.asked = true;
        state.failures = if answered { 0 } else { state.failures.saturating_add(1) };
        state.healthy = answered || (state.healthy && state.failures < FAILURES);
        state.busy = false;
        state.next = Instant::now() + if state.healthy { INTERVAL } else { EAGER };
        if before != state.healthy {
            self.wake.notify_one();
        }
    }
}

async fn ask((host, port): &Address, path: Option<&str>) -> anyhow::Result<bool> {
    let stream = TcpStream::connect((host.as_str(), *port)).await?;
    let Some(path) = path else { return Ok(true) };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driving = tokio::spawn(connection);
    let request = hyper::Request::get(path)
        .header("host", format!("{host}:{port}"))
        .body(Empty::<bytes::Bytes>::new())?;
    let answer = sender.send_request(request).await;
    driving.abort();
    Ok(answer?.status().is_success())
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that answers everything with a status.
    pub(crate) async fn server(status: &'static str) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _read = stream.read(&mut request).await.unwrap();
                stream
                    .write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes())
                    .await
                    .unwrap();
            }
        });
        port
    }

    #[tokio::test]
    async fn an_address_is_healthy_when_it_answers_well() {
        let wake = Arc::new(Notify::new());
        let probes = Probes::new(wake.clone());
        let (good, bad) = (server("200 OK").await, server("503 Service Unavailable").await);
        let wanted: BTreeMap<Address, Option<String>> = [good, bad]
            .map(|port| (("127.0.0.1".to_owned(), port), Some("/healthz".to_owned())))
            .into();
        assert!(probes.watch(&wanted).is_empty());
        wake.notified().await;
        assert_eq!(probes.watch(&wanted), BTreeSet::from([("127.0.0.1".to_owned(), good)]));
        assert!(!ask(&("127.0.0.1".to_owned(), bad), Some("/")).await.unwrap());
        let address = ("127.0.0.1".to_owned(), good);
        probes.learn(&address, false);
        assert!(probes.watch(&wanted).contains(&address), "one failure is not the end");
        probes.learn(&address, false);
        assert!(!probes.watch(&wanted).contains(&address));
    }
}

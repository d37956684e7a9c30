//! Where notifications arrive: a mail server and a web server of the test's own, on real sockets.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Takes what is sent to a port; stops when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    received: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl Receiver {
    /// Takes mails (SMTP, as much of it as one sender needs).
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn mails(port: u16) -> Result<Self> {
        Self::start(port, |stream| Box::pin(mail(stream))).await
    }

    /// Takes POSTs and answers 204.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn posts(port: u16) -> Result<Self> {
        Self::start(port, |stream| Box::pin(post(stream))).await
    }

    async fn start(
        port: u16,
        take: impl Fn(TcpStream) -> futures_util::future::BoxFuture<'static, Result<String>> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("port {port} is taken"))?;
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = received.clone();
        let take = Arc::new(take);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, take) = (kept.clone(), take.clone());
                tokio::spawn(async move {
                    if let Ok(text) = take(stream).await {
                        kept.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                    }
                });
            }
        });
        Ok(Self { received, accepting })
    }

    /// Returns what has come so far.
    #[must_use]
    pub fn received(&self) -> Vec<String> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn mail(stream: TcpStream) -> Result<String> {
    let mut stream = BufReader::new(stream);
    let mut mail = String::new();
    let mut inside = false;
    stream.write_all(b"220 tests\r\n").await?;
    loop {
        let mut line = String::new();
        anyhow::ensure!(stream.read_line(&mut line).await? > 0, "the sender has gone");
        if inside {
            if line.trim_end() == "." {
                stream.write_all(b"250 taken\r\n").await?;
                return Ok(mail);
            }
            mail.push_str(&line);
            continue;
        }
        let answer: &[u8] = match line.trim_end().to_ascii_uppercase().as_str() {
            "DATA" => {
                inside = true;
                b"354 go on\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 tests\r\n",
        };
        stream.write_all(answer).await?;
    }
}

async fn post(stream: TcpStream) -> Result<String> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        anyhow::ensure!(stream.read_line(&mut line).await? > 0, "the sender has gone");
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    Ok(String::from_utf8(body)?)
}

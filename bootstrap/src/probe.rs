//! Whether something that was started answers.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Asks a Kafka broker for the versions of its protocol (API 18, version 0).
pub(crate) async fn kafka(port: u16) -> bool {
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xFF, 0xFF];
    limited(async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(&request).await?;
        let size = stream.read_i32().await?;
        let correlation = stream.read_i32().await?;
        let error = stream.read_i16().await?;
        ensure!(size > 6 && correlation == 1 && error == 0, "not the answer of a broker");
        Ok(())
    })
    .await
}

/// Pings a MongoDB server.
pub(crate) async fn mongodb(port: u16) -> bool {
    let message = ping();
    limited(async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(&message).await?;
        let size = usize::try_from(stream.read_u32_le().await?)?;
        ensure!((21..65_536).contains(&size), "not the answer of a server");
        let mut rest = vec![0; size - 4];
        stream.read_exact(&mut rest).await?;
        // `ok: 1.0`
        let good = b"\x01ok\x00\x00\x00\x00\x00\x00\x00\xF0\x3F";
        ensure!(
            rest.windows(good.len()).any(|window| window == good),
            "the server answered with an error"
        );
        Ok(())
    })
    .await
}

/// A message with `{ping: 1, $db: "admin"}`.
fn ping() -> Vec<u8> {
    let mut document = vec![0; 4];
    document.extend(b"\x10ping\x00\x01\x00\x00\x00\x02$db\x00\x06\x00\x00\x00admin\x00\x00");
    let size = u8::try_from(document.len()).unwrap_or_default();
    document.splice(0..4, [size, 0, 0, 0]);
    let mut message = vec![
        size + 21,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0xDD,
        0x07,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    message.extend(document);
    message
}

/// Whether an HTTP address answers with success.
pub(crate) async fn http(port: u16, path: &str) -> bool {
    limited(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let response = client.get(format!("http://127.0.0.1:{port}{path}")).send().await?;
        response.error_for_status()?;
        Ok(())
    })
    .await
}

async fn limited(ask: impl Future<Output = Result<()>>) -> bool {
    tokio::time::timeout(Duration::from_secs(2), ask)
        .await
        .is_ok_and(|answer| answer.is_ok())
}

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

async fn server(limits: Limits) -> Server {
    let router = Router::new()
        .route(
            "/who",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }),
        )
        .route(
            "/size",
            post(|body: bytes::Bytes| async move { body.len().to_string() }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
    Server {
        address,
        shutdown,
        task,
    }
}

/// What the server says to these bytes until it closes.
async fn told(stream: &mut TcpStream, bytes: &str) -> String {
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

fn quick(connections: usize) -> Limits {
    Limits {
        connections,
        headers: Duration::from_millis(50),
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let server = server(quick(10)).await;
    for bytes in ["", "GET /who HTTP/1.1\r\nhost: x\r\nx-slow:"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        assert!(!told(&mut stream, bytes).await.contains("200"), "{bytes}");
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let text = told(&mut stream, "GET /who HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(
        text.starts_with("HTTP/1.1 200") && text.ends_with("127.0.0.1"),
        "{text}"
    );
}

#[tokio::test]
async fn one_more_than_there_is_room_for_waits_for_its_turn() {
    let server = server(quick(1)).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    let mut second = TcpStream::connect(server.address).await.unwrap();
    let ask = "GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let (silent, served) = tokio::join!(told(&mut first, ""), told(&mut second, ask));
    assert!(!silent.contains("200"), "{silent}");
    assert!(served.starts_with("HTTP/1.1 200"), "{served}");
}

#[tokio::test]
async fn the_end_of_the_process_ends_idle_connections() {
    let server = server(Limits::PROGRAMS).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"POST /size HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc")
        .await
        .unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    server.shutdown.cancel();
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn problems_say_what_their_status_needs() {
    let denied = Problem::new(StatusCode::UNAUTHORIZED, "no").with(header::WWW_AUTHENTICATE, "Basic realm=\"x\"");
    for (problem, name, value) in [
        (denied, header::WWW_AUTHENTICATE, "Basic realm=\"x\""),
        (Problem::not_yet("soon"), header::RETRY_AFTER, "1"),
        (
            Problem::new(StatusCode::CONFLICT, "c"),
            header::CONTENT_TYPE,
            "application/problem+json",
        ),
    ] {
        let response = problem.into_response();
        assert_eq!(response.headers()[name], value);
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["status"], status);
        assert!(body["detail"].is_string() && body["title"].is_string());
    }
}

#[tokio::test]
async fn what_comes_over_tls_is_known_to_be_encrypted_and_only_there() {
    let folder = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, both) = (folder.path().join("ca.pem"), folder.path().join("both.pem"));
    std::fs::write(&certificate, signed.cert.pem()).unwrap();
    std::fs::write(&both, signed.signing_key.serialize_pem() + &signed.cert.pem()).unwrap();
    let link = get(|link: axum::Extension<Link>| async move { format!("{:?}", link.0) });
    let router = Router::new().route("/", link);
    let mut said = Vec::new();
    for tls in [None, Some(crate::tls::server(&both).unwrap())] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let encrypted = tls.is_some();
        let door = Door::new(listener, tls);
        tokio::spawn(serve(door, router.clone(), Limits::PEOPLE, shutdown.clone()));
        let stream = TcpStream::connect(address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        said.push(if encrypted {
            let connector = tokio_rustls::TlsConnector::from(crate::tls::client(&certificate).unwrap());
            let mut stream = connector
                .connect("localhost".try_into().unwrap(), stream)
                .await
                .unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text
        } else {
            let mut stream = stream;
            told(&mut stream, request).await
        });
        shutdown.cancel();
    }
    assert!(said[0].ends_with("Plain") && said[1].ends_with("Encrypted"), "{said:?}");
}

#[test]
fn files_that_hold_no_certificate_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pem");
    for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&path, text).unwrap();
        assert!(
            crate::tls::client(&path).is_err() && crate::tls::server(&path).is_err(),
            "{text:?}"
        );
    }
    assert!(crate::tls::server(&folder.path().join("none")).is_err());
    assert!(crate::tls::server_of(None).unwrap().is_none());
    assert!(crate::tls::connector(None).unwrap().is_none());
    assert!(
        crate::tls::connector(Some(&common::settings::Tls { ca: None })).is_err(),
        "never plain by mistake"
    );
}

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::Method;
use axum::routing::{any, get};
use common::messages::instance::Instance;
use common::{InstanceId, UserId};
use futures_util::StreamExt as _;
use runtime::Entities;
use runtime::memory::MemoryBus;
use runtime::store::MemoryDocuments;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn keys() -> PageKeys {
    let (_, bus) = MemoryBus::bus("application-manager");
    PageKeys::at(
        Entities::new(Arc::new(MemoryDocuments::default()), bus),
        Origin {
            scheme: "http",
            host: "apps.example".to_owned(),
            port: 8081,
        },
    )
}

fn instance(state: &str, version: u64, ports: &[u16], page: bool) -> Instance {
    let endpoints: Vec<_> = ports
        .iter()
        .map(|port| serde_json::json!({"host": "127.0.0.1", "port": port, "node": "n"}))
        .collect();
    let mut value = serde_json::json!({
        "id": InstanceId::derive(&["i"]),
        "spec": {
            "schedule": common::ScheduleId::new(), "schedule_name": "s", "due": "2026-01-01T00:00:00Z",
            "version": {
                "application": common::ApplicationId::new(), "version": common::VersionId::new(), "number": "1.0.0",
                "developer": UserId::new(),
                "manifest": {"manifest": 1, "name": "demo", "title": "Demo", "version": "1.0.0", "runtime": {"python": "3"}, "start": ["x"]},
            },
            "location": common::LocationId::new(), "location_path": "A", "parameters": {}, "owner": UserId::new(),
        },
        "state": state, "since": "2026-01-01T00:00:00Z", "endpoints": endpoints, "version": version,
    });
    if page {
        value["spec"]["version"]["manifest"]["page"] = serde_json::json!({"port": 8080});
    }
    if state == "stopped" || state == "failing" {
        value["why"] = "because".into();
    }
    serde_json::from_value(value).unwrap()
}

/// The proxy with one key, on a real port.
struct Stand {
    address: SocketAddr,
    key: String,
    view: Arc<View>,
    keys: PageKeys,
    pool: Arc<Pool>,
}

async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        async move { axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await },
    );
    address
}

async fn stand(ports: &[u16]) -> Stand {
    let (view, keys) = (Arc::new(View::default()), keys());
    let seen = instance("running", 1, ports, true);
    view.change(&seen);
    let place = keys.address_for(UserId::new(), seen.id, None).await.unwrap();
    let key = place.trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
    let pages = Pages::new(view.clone(), keys.clone());
    let pool = pages.pool.clone();
    Stand {
        address: listen(pages.router()).await,
        key,
        view,
        keys,
        pool,
    }
}

impl Stand {
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &'static str) -> Response<String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = forward::client()
            .request(request.body(Body::from(body)).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(Body::new(body), 1_000_000).await.unwrap();
        Response::from_parts(parts, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, rest: &str) -> Response<String> {
        self.ask(Method::GET, &format!("/{}{rest}", self.key), &[], "").await
    }
}

/// An application that says what it was asked.
async fn application() -> u16 {
    let echo = |request: Request| async move {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1_000_000).await.unwrap();
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or("-")
                .to_owned()
        };
        let text = format!(
            "{} {} prefix={} cookie={} body={}",
            parts.method,
            parts.uri,
            header("x-forwarded-prefix"),
            header("cookie"),
            String::from_utf8_lossy(&body)
        );
        (
            [("set-cookie", "iot_session=forged"), ("referrer-policy", "unsafe-url")],
            text,
        )
    };
    let socket = |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                let _sent = socket.send(Message::Text(format!("echo {text}").into())).await;
            }
        })
    };
    listen(Router::new().route("/socket", any(socket)).fallback(echo))
        .await
        .port()
}

#[tokio::test]
async fn a_request_reaches_the_application_below_its_prefix() {
    let stand = stand(&[application().await]).await;
    let key = stand.key.clone();
    let path = format!("/{key}/a%20b/c?x=1&y");
    let answer = stand
        .ask(
            Method::POST,
            &path,
            &[("cookie", "iot_session=secret; theme=dark")],
            "hello",
        )
        .await;
    assert_eq!(
        answer.body(),
        &format!("POST /a%20b/c?x=1&y prefix=/{key} cookie=theme=dark body=hello")
    );
    assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
    assert!(!answer.headers().contains_key("set-cookie"));
    let folder = stand.get("?x=1").await;
    assert_eq!(
        (folder.status().as_u16(), folder.headers()["location"].to_str().unwrap()),
        (308, format!("/{key}/?x=1").as_str())
    );
    assert_eq!(stand.pool.in_flight(), 0);
}

#[tokio::test]
async fn there_is_a_page_for_every_reason_that_there_is_none() {
    let stand = stand(&[]).await;
    let table = [
        ("failing", true, 503, "ended unexpectedly (because)"),
        ("starting", false, 404, "Demo has no pages"),
        ("stopped", true, 410, "Demo has ended"),
    ];
    assert!(stand.get("/").await.body().contains("its pages do not answer yet"));
    for (version, (state, page, status, text)) in table.into_iter().enumerate() {
        stand.view.change(&instance(state, version as u64 + 2, &[], page));
        let answer = stand.get("/").await;
        assert_eq!(answer.status(), status, "{state}");
        assert!(answer.body().contains(text), "{state}: {}", answer.body());
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
    }
    for path in ["/", "/favicon.ico", "/0123456789abcdef0123456789abcdef/", "/zz/../x"] {
        assert_eq!(stand.ask(Method::GET, path, &[], "").await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_replica_that_takes_no_connection_is_passed_over() {
    // A port that was free a moment ago.
    let closed = TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let stand = stand(&[closed, application().await]).await;
    for _ in 0..6 {
        assert_eq!(stand.get("/x").await.status(), 200);
    }
    let only = instance("running", 2, &[closed], true);
    stand.view.change(&only);
    let answer = stand.get("/x").await;
    assert_eq!(answer.status(), 502);
    assert!(answer.body().contains("does not answer"));
    assert_eq!(stand.pool.in_flight(), 0);
}

/// A replica that takes requests and breaks off; counts them.
async fn breaking(count: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 1024];
            if stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    port
}

#[tokio::test]
async fn only_what_can_do_no_harm_is_sent_again() {
    let (a, b) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let stand = stand(&[breaking(a.clone()).await, breaking(b.clone()).await]).await;
    let both = || a.load(Ordering::SeqCst) + b.load(Ordering::SeqCst);
    let path = format!("/{}/x", stand.key);
    assert_eq!(stand.ask(Method::GET, &path, &[], "").await.status(), 502);
    assert_eq!(both(), 2, "a read was tried on both");
    let answer = stand.ask(Method::POST, &path, &[], "order").await;
    assert_eq!(answer.status(), 502);
    assert!(answer.body().contains("gave no answer"));
    assert_eq!(both(), 3, "an order was given once");
}

#[tokio::test]
async fn answers_stream_while_they_are_made() {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<&'static str, std::convert::Infallible>>(4);
    let receiver = Arc::new(tokio::sync::Mutex::new(Some(receiver)));
    let events = get(move || async move {
        let receiver = receiver.lock().await.take().unwrap();
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream))
    });
    let port = listen(Router::new().route("/events", events)).await.port();
    let stand = stand(&[port]).await;
    let uri = format!("http://{}/{}/events", stand.address, stand.key);
    let response = forward::client()
        .request(Request::get(uri).body(Body::empty()).unwrap())
        .await
        .unwrap();
    let mut body = Body::new(response.into_body()).into_data_stream();
    for text in ["data: 1\n\n", "data: 2\n\n"] {
        sender.send(Ok(text)).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), text);
        assert_eq!(stand.pool.in_flight(), 1);
    }
    drop(sender);
    assert!(body.next().await.is_none());
    assert_eq!(stand.pool.in_flight(), 0);
}

#[tokio::test]
async fn a_websocket_is_joined() {
    let stand = stand(&[application().await]).await;
    let mut stream = TcpStream::connect(stand.address).await.unwrap();
    let request = format!(
        "GET /{}/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        stand.key
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(
        head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{head}"
    );
    // A masked text frame `hi`, with a mask of zeros.
    stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, b"\x81\x07echo hi");
    assert_eq!(stand.pool.in_flight(), 1);
}

#[tokio::test]
async fn keys_are_the_same_each_time_until_they_are_revoked() {
    let stand = stand(&[application().await]).await;
    let id = InstanceId::derive(&["i"]);
    let (one, two) = (UserId::new(), UserId::new());
    let address = stand.keys.address_for(one, id, None).await.unwrap();
    assert!(address.starts_with("http://apps.example:8081/") && address.ends_with('/'));
    assert_eq!(stand.keys.address_for(one, id, None).await.unwrap(), address);
    let other = stand.keys.address_for(two, id, None).await.unwrap();
    assert_ne!(other, address);
    let status = async |address: &str| {
        let path = address.strip_prefix("http://apps.example:8081").unwrap().to_owned();
        stand.ask(Method::GET, &path, &[], "").await.status().as_u16()
    };
    assert_eq!((status(&address).await, status(&other).await), (200, 200));
    stand.keys.revoke_user(one).await.unwrap();
    assert_eq!((status(&address).await, status(&other).await), (404, 200));
    stand.keys.revoke_instance(id).await.unwrap();
    assert_eq!(status(&other).await, 404);
    let fresh = stand.keys.address_for(one, id, None).await.unwrap();
    assert_ne!(fresh, address);
    let by_name = stand.keys.address_for(one, id, Some("other.example")).await.unwrap();
    assert_eq!(by_name, fresh.replace("apps.example", "other.example"));
    let later = Timestamp::now().plus_millis(1);
    stand
        .keys
        .revoke_others(later, |instance| instance == id)
        .await
        .unwrap();
    assert_eq!(status(&fresh).await, 200);
    let before = Timestamp::from_millis(0);
    stand.keys.revoke_others(before, |_| false).await.unwrap();
    assert_eq!(
        stand.keys.address_for(one, id, None).await.unwrap(),
        fresh,
        "it is newer"
    );
    stand.keys.revoke_others(later, |_| false).await.unwrap();
    assert_eq!(status(&fresh).await, 404);
}

#[test]
fn the_view_keeps_what_is_newest() {
    let view = View::default();
    view.change(&instance("running", 5, &[1], true));
    view.change(&instance("starting", 4, &[], true));
    let id = InstanceId::derive(&["i"]);
    assert!(matches!(view.standing(id), Standing::Serving(endpoints) if endpoints.len() == 1));
    assert!(view.change(&instance("stopped", 6, &[], true)));
    assert!(!view.lives(id));
    view.forget(id);
    assert_eq!(view.standing(id), Standing::Unknown);
}

#[test]
fn addresses_are_split_at_the_key() {
    let key = "0123456789abcdef0123456789abcdef";
    let table = [
        (format!("/{key}/a/b"), Some((key, "/a/b"))),
        (format!("/{key}/"), Some((key, "/"))),
        (format!("/{key}"), Some((key, ""))),
        (format!("/{key}0/"), None),
        ("/".to_owned(), None),
        (String::new(), None),
        (format!("/{}/", "g".repeat(32)), None),
    ];
    for (path, expected) in table {
        assert_eq!(split(&path), expected, "{path}");
    }
}

use super::*;
use crate::notification::deliveries;
use common::messages::action::Severity;
use common::settings::SmtpSettings;
use common::{ActionId, InstanceId, Timestamp, UserId};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

/// Settings of an installation without infrastructure.
pub(crate) fn settings(private_addresses: bool) -> Settings {
    serde_json::from_value(serde_json::json!({
        "name": "test", "host": "one", "data_dir": "/nonexistent", "secrets_dir": "/nonexistent", "public_address": "127.0.0.1",
        "kafka": { "brokers": "127.0.0.1:1", "replication": 1 },
        "mongodb": { "uri": "mongodb://127.0.0.1:1/", "database": "test" },
        "engine": { "socket": "/nonexistent", "network": "test", "gateway": "127.0.0.1", "registry": "127.0.0.1:1", "base_images": {},
            "sdk_dir": "/nonexistent" },
        "ports": { "console": 1, "applications": 1, "mqtt": 1, "ingestion": 1, "readings": 1, "actions": 1, "agent_readings": 1,
            "agent_actions": 1, "admin": {} },
        "limits": { "webhook_private_addresses": private_addresses }
    }))
    .unwrap()
}

fn owner(email: Option<&str>, webhook: Option<String>) -> User {
    User {
        id: UserId::new(),
        name: "eve".to_owned(),
        title: "Eve".to_owned(),
        roles: vec![],
        email: email.map(ToOwned::to_owned),
        webhook,
        disabled: false,
        created: Timestamp::from_millis(0),
        version: 1,
    }
}

fn notification(owner: &User) -> Notification {
    let now = Timestamp::from_millis(0);
    Notification {
        id: ActionId::new(),
        instance: InstanceId::new(),
        owner: owner.id,
        application: "Room comfort".to_owned(),
        title: "Zu warm: 31 °C".to_owned(),
        text: "open a window".to_owned(),
        severity: Severity::Warning,
        at: now,
        deliveries: deliveries(Some(owner), true, now),
        version: 1,
    }
}

/// Answers one HTTP request and returns it.
async fn one_request(listener: TcpListener, answer: &'static str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&received).contains("\"title\"") {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0);
        received.extend_from_slice(&buffer[..count]);
    }
    stream
        .write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").as_bytes())
        .await
        .unwrap();
    String::from_utf8(received).unwrap()
}

#[tokio::test]
async fn a_webhook_gets_the_notification_as_json() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let owner = owner(
        None,
        Some(format!("http://{}/hook?for=eve", listener.local_addr().unwrap())),
    );
    let notification = notification(&owner);
    let channels = Channels::from_settings(&settings(true));
    let (sent, request) = tokio::join!(
        channels.send(Channel::Webhook, &notification, Some(&owner)),
        one_request(listener, "204 No Content")
    );
    assert_eq!(sent, Ok(()));
    assert!(request.starts_with("POST /hook?for=eve HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("idempotency-key: {}", notification.id)));
    assert!(request.contains("\"severity\":\"warning\""));
}

#[tokio::test]
async fn redirects_and_errors_are_failures() {
    for (answer, permanent) in [("302 Found\r\nlocation: http://127.0.0.1/", true), ("500 Oops", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let owner = owner(None, Some(format!("http://{}/", listener.local_addr().unwrap())));
        let notification = notification(&owner);
        let channels = Channels::from_settings(&settings(true));
        let send = channels.send(Channel::Webhook, &notification, Some(&owner));
        let (sent, _) = tokio::join!(send, one_request(listener, answer));
        assert_eq!(sent.unwrap_err().permanent, permanent, "{answer}");
    }
}

#[tokio::test]
async fn private_addresses_are_refused_unless_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let channels = Channels::from_settings(&settings(false));
    for host in [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "0.0.0.0",
    ] {
        let owner = owner(None, Some(format!("http://{host}:{port}/")));
        let failure = channels
            .send(Channel::Webhook, &notification(&owner), Some(&owner))
            .await
            .unwrap_err();
        assert!(
            failure.permanent && failure.why.contains("private address"),
            "{host}: {}",
            failure.why
        );
    }
}

/// A mail server of one mail: answers each command well and returns what it was told.
async fn one_mail(listener: TcpListener) -> String {
    let (stream, _) = listener.accept().await.unwrap();
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut heard = String::new();
    writer.write_all(b"220 test\r\n").await.unwrap();
    let mut in_data = false;
    while let Some(line) = lines.next_line().await.unwrap() {
        heard.push_str(&line);
        heard.push('\n');
        let answer: &[u8] = match line.as_str() {
            "." => {
                in_data = false;
                b"250 taken\r\n"
            }
            _ if in_data => continue,
            "DATA" => {
                in_data = true;
                b"354 go on\r\n"
            }
            "QUIT" => break,
            _ => b"250 well\r\n",
        };
        writer.write_all(answer).await.unwrap();
        if answer == b"250 taken\r\n" {
            break;
        }
    }
    heard
}

#[tokio::test]
async fn mail_goes_to_the_owner() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(false);
    settings.smtp = Some(SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
        from: "Platform <platform@example.org>".to_owned(),
        username: None,
        tls: false,
    });
    let owner = owner(Some("eve@example.org"), None);
    let notification = notification(&owner);
    let channels = Channels::from_settings(&settings);
    assert!(channels.has_mail());
    let (sent, heard) = tokio::join!(
        channels.send(Channel::Mail, &notification, Some(&owner)),
        one_mail(listener)
    );
    assert_eq!(sent, Ok(()));
    for expected in [
        "RCPT TO:<eve@example.org>",
        "MAIL FROM:<platform@example.org>",
        &format!("Message-ID: <{}@example.org>", notification.id),
        "open a window",
    ] {
        assert!(heard.contains(expected), "{expected} in {heard}");
    }
    assert!(heard.contains("Subject: "), "{heard}");
}

#[tokio::test]
async fn what_is_wrong_with_mail_is_said_of_the_mail() {
    let mut settings = settings(false);
    settings.smtp = Some(SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: 1,
        from: "platform@example.org".to_owned(),
        username: Some("platform".to_owned()),
        tls: false,
    });
    let owner = owner(Some("eve@example.org"), None);
    let send = async |settings: &Settings| {
        let channels = Channels::from_settings(settings);
        channels
            .send(Channel::Mail, &notification(&owner), Some(&owner))
            .await
            .unwrap_err()
    };
    let failure = send(&settings).await;
    assert!(
        failure.permanent && failure.why.contains("smtp.password"),
        "{}",
        failure.why
    );
    if let Some(smtp) = &mut settings.smtp {
        smtp.username = None;
    }
    assert!(
        !send(&settings).await.permanent,
        "nobody listens there now, but may later"
    );
}

//! Who may speak with what: accounts and their rights, passwords that change, links that are encrypted.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bootstrap::{Installation, Options, Profile};
use common::config::PublicTls;
use common::settings::{Settings, service_password};
use common::{Message, Topic};
use reqwest::{StatusCode, header};
use runtime::bus::{Bus, BusError, Record, TailFrom};
use runtime::kafka::{KafkaConfig, KafkaPublisher, tail};
use runtime::mongo::Mongo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::lifecycle::survive;
use crate::stack::{ADMIN_PASSWORD, Stack};
use crate::wait::until;

/// Time in which a server that refuses says so, or says nothing.
const REFUSED: Duration = Duration::from_secs(5);

/// Nobody without an account is let in anywhere, and whoever has one may do only what is his.
pub(super) async fn accounts(stack: &Stack) -> Result<()> {
    let own = stack.settings();
    let mut nobody = own.clone();
    (nobody.kafka.account, nobody.mongodb.account) = (None, None);
    let folder = tempfile::tempdir()?;
    let impostor = with_password(own, folder.path(), "scheduler", "guessed")?;

    let schedules = Topic::ScheduleEvents;
    must_write(own, schedules).await?;
    for (who, settings, topic) in [
        ("the scheduler on another's topic", own, Topic::RegistryEvents),
        ("nobody", &nobody, schedules),
        ("one with a wrong password", &impostor, schedules),
    ] {
        ensure!(!writes(settings, "scheduler", topic).await?, "{who} wrote to {topic:?}");
    }
    let users = reads::<common::messages::user::UserEvent>;
    until("who tails users reads them", Duration::from_secs(30), || async {
        Ok(users(own, "action-manager").await?.then_some(()))
    })
    .await?;
    ensure!(!users(own, "scheduler").await?, "the scheduler read users");
    ensure!(!users(&nobody, "action-manager").await?, "nobody read users");

    for (who, settings, collection, expected) in [
        ("scheduler", own, "scheduler_schedules", true),
        ("scheduler", own, "application_manager_users", false),
        ("action-manager", own, "sensor_manager_leases", false),
        ("scheduler", &nobody, "scheduler_schedules", false),
        ("scheduler", &impostor, "scheduler_schedules", false),
    ] {
        let found = Mongo::connect(settings, who)
            .await?
            .documents()
            .find(collection, "x")
            .await;
        ensure!(found.is_ok() == expected, "{who} on {collection}: {found:?}");
    }
    let registry = reqwest::get(format!("http://{}/v2/", own.engine.registry)).await?;
    ensure!(registry.status() == StatusCode::UNAUTHORIZED, "{}", registry.status());
    Ok(())
}

/// Settings of somebody who has made up a password.
fn with_password(settings: &Settings, folder: &Path, service: &str, password: &str) -> Result<Settings> {
    std::fs::write(folder.join(service_password(service)), password)?;
    Ok(Settings {
        secrets_dir: folder.to_owned(),
        ..settings.clone()
    })
}

/// The scheduler may; a busy machine may take its time.
async fn must_write(settings: &Settings, topic: Topic) -> Result<()> {
    until("a record is taken", Duration::from_secs(30), || async {
        Ok(writes(settings, "scheduler", topic).await?.then_some(()))
    })
    .await
}

/// Whether a record is taken: the end of something that never was.
async fn writes(settings: &Settings, service: &str, topic: Topic) -> Result<bool> {
    let bus = Bus::new(
        std::sync::Arc::new(KafkaPublisher::new(KafkaConfig::from_settings(settings, service)?)?),
        "tests",
    );
    let record = Record {
        topic: topic.name().to_owned(),
        key: "tests".to_owned(),
        payload: None,
        headers: Vec::new(),
    };
    match tokio::time::timeout(REFUSED, bus.send(&[record])).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(BusError::NotConfirmed(_))) | Err(_) => Ok(false),
        Ok(Err(error)) => Err(error.into()),
    }
}

/// Whether anything of a topic can be read.
async fn reads<M: Message>(settings: &Settings, service: &str) -> Result<bool> {
    let config = KafkaConfig::from_settings(settings, service)?;
    let reading = async {
        let mut tail = tail::<M>(config, TailFrom::Beginning).await.ok()?;
        tail.next().await.ok()
    };
    Ok(tokio::time::timeout(REFUSED, reading).await.ok().flatten().is_some())
}

/// All accounts get new passwords and devices get TLS while readings are sent; then TLS is taken away again.
pub(super) async fn rotation(stack: &Stack) -> Result<()> {
    survive(stack, "new passwords", async |stack| {
        let folder = tempfile::tempdir()?;
        let before = stack.settings().secret(&service_password("scheduler"))?;
        let old = with_password(stack.settings(), folder.path(), "scheduler", &before)?;
        must_write(&old, Topic::ScheduleEvents).await?;
        let tls = certificate(folder.path())?;
        let mut config = stack.installation().config().clone();
        config.tls = Some(tls.clone());
        (
            config.console.tls_port,
            config.ports.mqtt_tls,
            config.ports.ingestion_tls,
        ) = (12_384, 12_385, 12_386);
        let options = Options {
            profile: Profile::Debug,
            rotate: true,
            ..Options::default()
        };
        let rotated = Installation::new(config, options);
        let summary = rotated.up(stack.reporter()).await;
        let summary = summary.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        crate::say(&format!("    new passwords took {:.1} s", summary.took.as_secs_f64()));
        ensure!(
            stack.settings().secret(&service_password("scheduler"))? != before,
            "the password is the same"
        );
        ensure!(
            !writes(&old, "scheduler", Topic::ScheduleEvents).await?,
            "the old password is still good"
        );
        // Not because nobody gets in.
        must_write(stack.settings(), Topic::ScheduleEvents).await?;
        encrypted(&rotated.settings()?, &tls).await
    })
    .await
}

/// A certificate as an admin brings it.
fn certificate(folder: &Path) -> Result<PublicTls> {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let tls = PublicTls {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    };
    std::fs::write(&tls.certificate, signed.cert.pem())?;
    std::fs::write(&tls.key, signed.signing_key.serialize_pem())?;
    Ok(tls)
}

/// Console, pages, MQTT and ingestion speak TLS, and people are led there.
async fn encrypted(settings: &Settings, tls: &PublicTls) -> Result<()> {
    let ports = &settings.ports;
    let connector = TlsConnector::from(runtime::tls::client(&tls.certificate)?);
    let open = async |port: u16| {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        anyhow::Ok(connector.connect("localhost".try_into()?, stream).await?)
    };
    let home = asks(open(ports.console_tls).await?, "GET / HTTP/1.1", "").await?;
    ensure!(home.starts_with("HTTP/1.1 200"), "{home}");
    let signs_in = format!(r#"{{"name":"admin","password":"{ADMIN_PASSWORD}"}}"#);
    let session = asks(
        open(ports.console_tls).await?,
        "POST /api/v1/session HTTP/1.1",
        &signs_in,
    )
    .await?;
    ensure!(
        session.starts_with("HTTP/1.1 200") && session.contains("; Secure"),
        "{session}"
    );
    let pages = asks(open(ports.applications).await?, "GET /nothing/ HTTP/1.1", "").await?;
    ensure!(pages.starts_with("HTTP/1.1 404"), "{pages}");
    let ingestion = asks(open(ports.ingestion_tls).await?, "GET /nothing HTTP/1.1", "").await?;
    ensure!(ingestion.starts_with("HTTP/1.1 404"), "{ingestion}");

    // MQTT 3.1.1: CONNECT of a client without credentials; CONNACK with a refusal.
    let mut mqtt = open(ports.mqtt_tls).await?;
    mqtt.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01t").await?;
    let mut answer = [0; 4];
    mqtt.read_exact(&mut answer).await.context("CONNACK over TLS")?;
    ensure!(answer[0] == 0x20 && answer[3] != 0, "{answer:?}");

    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let from_outside = format!("http://{}:{}/instances", settings.public_address, ports.console);
    let led = client.get(from_outside).send().await?;
    let goal = led.headers().get(header::LOCATION).context("a goal")?.to_str()?;
    let expected = format!("https://{}:{}/instances", settings.public_address, ports.console_tls);
    ensure!(
        led.status() == StatusCode::PERMANENT_REDIRECT && goal == expected,
        "{goal}"
    );
    Ok(())
}

/// Sends a request and returns all of the answer.
async fn asks<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, line: &str, body: &str) -> Result<String> {
    let request = format!(
        "{line}\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The TCP ports of an address that take connections.
pub(super) async fn open_ports(address: std::net::IpAddr) -> Result<Vec<u16>> {
    let room = std::sync::Arc::new(tokio::sync::Semaphore::new(512));
    let mut asked = tokio::task::JoinSet::new();
    for port in 1..=u16::MAX {
        let place = room.clone().acquire_owned().await?;
        asked.spawn(async move {
            let connected = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect((address, port))).await;
            drop(place);
            matches!(connected, Ok(Ok(_))).then_some(port)
        });
    }
    let mut open: Vec<u16> = asked.join_all().await.into_iter().flatten().collect();
    open.sort_unstable();
    Ok(open)
}

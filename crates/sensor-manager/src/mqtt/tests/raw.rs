//! What a well-behaved client library does not do, byte by byte; with time as the test wants it.

use std::time::Duration;

use bytes::BytesMut;
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Connect, Packet, Publish};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::super::connection;
use super::*;

struct Client {
    stream: DuplexStream,
    input: BytesMut,
}

impl Client {
    /// Connects to an endpoint on that bus.
    async fn connect(bus: Bus, keep_alive: u16) -> Self {
        let ingest = ingest::shared(bus, fixtures::directory());
        let commands = Commands::new(ingest.clone());
        let shared = Shared::new(ingest, commands, CancellationToken::new());
        let (stream, server) = tokio::io::duplex(1 << 16);
        tokio::spawn(connection::serve(server, shared));
        let mut client = Self {
            stream,
            input: BytesMut::new(),
        };
        let mut connect = Connect::new("raw");
        connect.keep_alive = keep_alive;
        connect.set_login(fixtures::connector().to_string(), "secret");
        client.send(&Packet::Connect(connect)).await;
        assert!(matches!(client.next().await, Some(Packet::ConnAck(_))));
        client
    }

    async fn send(&mut self, packet: &Packet) {
        let mut out = BytesMut::new();
        packet.write(&mut out, 1 << 20).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    async fn publish(&mut self, id: u16) {
        let mut publish = Publish::new(topic(fixtures::sensor()), QoS::AtLeastOnce, payload(usize::from(id)));
        publish.pkid = id;
        self.send(&Packet::Publish(publish)).await;
    }

    /// Returns the next packet; none at the end.
    async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Ok(packet) = Packet::read(&mut self.input, 1 << 20) {
                return Some(packet);
            }
            if self.stream.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_kafka_holds_up_acknowledgements_and_no_pings() {
    let (manual, bus) = Manual::bus();
    let mut client = Client::connect(bus, 5).await;
    for round in 0..10 {
        for id in 0..50 {
            client.publish(round * 50 + id + 1).await;
        }
        client.send(&Packet::PingReq).await;
        assert_eq!(client.next().await, Some(Packet::PingResp));
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    manual.handed_over(256).await;
    for at in 0..256 {
        manual.confirm(at);
    }
    for id in 1..=256 {
        assert!(matches!(client.next().await, Some(Packet::PubAck(ack)) if ack.pkid == id));
    }
    manual.handed_over(500).await;
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_are_in_order_whatever_kafka_confirms_first() {
    let (manual, bus) = Manual::bus();
    let mut client = Client::connect(bus, 0).await;
    for id in 1..=20 {
        client.publish(id).await;
    }
    manual.handed_over(20).await;
    for at in (0..20).rev() {
        manual.confirm(at);
    }
    for id in 1..=20 {
        assert!(matches!(client.next().await, Some(Packet::PubAck(ack)) if ack.pkid == id));
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_not_read_but_not_cut_off_either() {
    let (manual, bus) = Manual::bus();
    let mut client = Client::connect(bus, 5).await;
    let large = "x".repeat(100_000);
    let mut publish = Publish::new(topic(fixtures::sensor()), QoS::AtLeastOnce, large);
    publish.pkid = 1;
    let mut out = BytesMut::new();
    for _ in 0..300 {
        Packet::Publish(publish.clone()).write(&mut out, 1 << 20).unwrap();
    }
    let total = out.len();
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(Duration::from_secs(60), client.stream.write(&out[sent..])).await {
        sent += written.unwrap();
    }
    assert!(sent < total, "everything was read");
    assert_eq!(manual.0.lock().unwrap().len(), 256);
    for at in 0..256 {
        manual.confirm(at);
    }
    assert!(
        matches!(client.next().await, Some(Packet::PubAck(_))),
        "still there after a minute of silence"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_connection_after_one_and_a_half_intervals() {
    let (_memory, bus) = memory();
    let mut client = Client::connect(bus, 10).await;
    let begin = tokio::time::Instant::now();
    assert_eq!(client.next().await, None);
    let seconds = begin.elapsed().as_secs();
    assert!((15..=17).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_introduce_itself_is_cut_off() {
    let (_memory, bus) = memory();
    let ingest = ingest::shared(bus, fixtures::directory());
    let shared = Shared::new(ingest.clone(), Commands::new(ingest), CancellationToken::new());
    let (mut stream, server) = tokio::io::duplex(1024);
    tokio::spawn(connection::serve(server, shared));
    stream.write_all(&[0x10, 0x20, 0, 4]).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty());
}

#[tokio::test]
async fn nonsense_ends_the_connection() {
    let (memory, bus) = memory();
    for nonsense in [
        &b"\x00\x00"[..],
        b"\x30\xff\xff\xff\x7f",
        b"\x10\x00",
        b"\x32\x05\0\x01a\0\0",
    ] {
        let mut client = Client::connect(bus.clone(), 0).await;
        client.stream.write_all(nonsense).await.unwrap();
        assert_eq!(client.next().await, None);
    }
    assert!(memory.records().is_empty());
}

//! An MQTT endpoint that acknowledges late and drops connections, on purpose.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::SubscribeReasonCode;
use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck};
use rumqttc::mqttbytes::{Error, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What an endpoint has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Readings in the order of their arrival, repeats included: sensor and `seq`.
    pub(crate) arrived: Vec<(String, u64)>,
    /// Readings whose PUBACK was written to the socket.
    pub(crate) acknowledged: HashSet<(String, u64)>,
    /// Answers of devices: topic and payload.
    pub(crate) answers: Vec<(String, serde_json::Value)>,
    /// PUBACKs for commands.
    pub(crate) command_acks: usize,
    /// Connections accepted.
    pub(crate) connections: usize,
}

/// How it misbehaves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Behaviour {
    /// Drop the connection after that many readings on it, the last of them unacknowledged.
    pub(crate) drop_after: Option<usize>,
    /// Acknowledge in the opposite order within one read.
    pub(crate) reversed: bool,
    /// Send this command twice after a subscription.
    pub(crate) command: Option<&'static str>,
}

/// A running endpoint.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

impl Endpoint {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = seen.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                shared.lock().unwrap().connections += 1;
                connections.spawn(serve(socket, behaviour, shared.clone()));
            }
        });
        Self { address, seen, task }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Connection {
    behaviour: Behaviour,
    seen: Arc<Mutex<Seen>>,
    readings: usize,
    acks: Vec<(u16, Option<(String, u64)>)>,
    out: BytesMut,
    dropped: bool,
}

async fn serve(mut socket: TcpStream, behaviour: Behaviour, seen: Arc<Mutex<Seen>>) {
    let mut input = BytesMut::new();
    let mut connection = Connection {
        behaviour,
        seen,
        readings: 0,
        acks: Vec::new(),
        out: BytesMut::new(),
        dropped: false,
    };
    loop {
        match Packet::read(&mut input, 1 << 20) {
            Ok(packet) => {
                connection.on_packet(packet);
                if !connection.dropped {
                    continue;
                }
            }
            Err(Error::InsufficientBytes(_)) => {}
            Err(error) => panic!("the simulator sent nonsense: {error}"),
        }
        if connection.flush(&mut socket).await.is_err() || connection.dropped {
            return;
        }
        match tokio::time::timeout(Duration::from_secs(30), socket.read_buf(&mut input)).await {
            Ok(Ok(length)) if length > 0 => {}
            _ => return,
        }
    }
}

impl Connection {
    fn write(&mut self, packet: &Packet) {
        packet.write(&mut self.out, 1 << 20).unwrap();
    }

    fn on_packet(&mut self, packet: Packet) {
        match packet {
            Packet::Connect(connect) => {
                let login = connect.login.unwrap();
                assert_eq!((login.username, login.password.as_str()), (connect.client_id, "secret"));
                self.write(&Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)));
            }
            Packet::Subscribe(subscribe) => self.on_subscribe(subscribe.pkid, &subscribe.filters[0].path),
            Packet::Publish(publish) => self.on_publish(&publish),
            Packet::PubAck(_) => self.seen.lock().unwrap().command_acks += 1,
            Packet::PingReq => self.write(&Packet::PingResp),
            _ => {}
        }
    }

    fn on_subscribe(&mut self, packet: u16, filter: &str) {
        let granted = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
        self.write(&Packet::SubAck(SubAck::new(packet, granted)));
        for number in 1..=2 {
            if let Some(command) = self.behaviour.command {
                let mut publish = Publish::new(filter, QoS::AtLeastOnce, command);
                publish.pkid = number;
                self.write(&Packet::Publish(publish));
            }
        }
    }

    fn on_publish(&mut self, publish: &Publish) {
        assert_eq!(publish.qos, QoS::AtLeastOnce);
        let payload: serde_json::Value = serde_json::from_slice(&publish.payload).unwrap();
        let mut seen = self.seen.lock().unwrap();
        if publish.topic.starts_with("v1/devices/") {
            seen.answers.push((publish.topic.clone(), payload));
            drop(seen);
            self.acks.push((publish.pkid, None));
            return;
        }
        let reading = (
            publish.topic.split('/').nth(2).unwrap().to_owned(),
            payload["seq"].as_u64().unwrap(),
        );
        assert!(payload["boot"].is_u64() && payload["time"].is_string() && payload["values"]["temperature"].is_f64());
        seen.arrived.push(reading.clone());
        drop(seen);
        self.readings += 1;
        if self.behaviour.drop_after == Some(self.readings) {
            self.dropped = true;
            return;
        }
        self.acks.push((publish.pkid, Some(reading)));
    }

    async fn flush(&mut self, socket: &mut TcpStream) -> std::io::Result<()> {
        let mut acks = std::mem::take(&mut self.acks);
        if self.dropped {
            // Half of what is still owed is acknowledged in the very moment of the loss.
            acks.truncate(acks.len() / 2);
        } else if self.behaviour.reversed {
            acks.reverse();
        }
        for (packet, _) in &acks {
            self.write(&Packet::PubAck(PubAck::new(*packet)));
        }
        self.seen
            .lock()
            .unwrap()
            .acknowledged
            .extend(acks.into_iter().filter_map(|(_, reading)| reading));
        let out = std::mem::take(&mut self.out);
        socket.write_all(&out).await
    }
}

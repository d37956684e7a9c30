//! The gateway on a log in memory, and an application that talks to it over a real socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::manifest::ThingKind;
use common::messages::binding::{Binding, BindingState, BoundMember, BoundSlot};
use common::messages::reading::Reading;
use common::token::TokenKey;
use common::{InstanceId, SensorId, Timestamp};
use futures_util::{SinkExt, StreamExt};
use runtime::memory::MemoryBus;
use runtime::store::MemoryDocuments;
use runtime::{Bus, Change, Entities};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

use crate::binding::store::BindingRecord;
use crate::delivery::carry::Lineage;
use crate::delivery::gateway::{Gateway, Pace, router};
use crate::delivery::hub::Hub;
use crate::delivery::lease::Holder;
use crate::delivery::log::{Log, LogItem, LogReader, PlacedReading};
use crate::delivery::store::Sessions;
use crate::delivery::{Position, partition};
use crate::registry::Directory;

pub(super) const DEADLINE: Duration = Duration::from_secs(60);

pub(super) fn sensor(index: usize) -> SensorId {
    SensorId::derive(&["sensor", &index.to_string()])
}

#[derive(Debug, Default)]
struct Partitions {
    records: Vec<Vec<Arc<PlacedReading>>>,
}

/// Readings in memory, in partitions as Kafka has them.
#[derive(Debug, Clone)]
pub(super) struct MemoryLog {
    partitions: Arc<Mutex<Partitions>>,
    grown: watch::Sender<u64>,
}

impl MemoryLog {
    pub(super) fn new() -> Self {
        let records = vec![Vec::new(); 12];
        Self {
            partitions: Arc::new(Mutex::new(Partitions { records })),
            grown: watch::channel(0).0,
        }
    }

    pub(super) fn push(&self, index: usize, seq: u64) {
        let sensor = sensor(index);
        let at = partition::of_sensor(sensor);
        {
            let mut partitions = self.partitions.lock().unwrap();
            let records = &mut partitions.records[usize::try_from(at).unwrap()];
            records.push(Arc::new(PlacedReading {
                partition: at,
                offset: i64::try_from(records.len()).unwrap(),
                reading: Reading {
                    sensor,
                    boot: Some(1),
                    seq: Some(seq),
                    time: Timestamp::from_millis(0),
                    received: Timestamp::from_millis(0),
                    values: BTreeMap::from([("seq".to_owned(), seq as f64)]),
                },
            }));
        }
        self.grown.send_modify(|number| *number += 1);
    }

    /// Forgets the newest records, as a host without power does.
    pub(super) fn cut(&self, count: usize) {
        for records in &mut self.partitions.lock().unwrap().records {
            records.truncate(records.len().saturating_sub(count));
        }
    }

    pub(super) fn end(&self) -> Position {
        let partitions = self.partitions.lock().unwrap();
        (0..12)
            .map(|at| (at, partitions.records[at as usize].len() as i64))
            .collect()
    }

    fn at(&self, partition: i32, offset: i64) -> Option<Arc<PlacedReading>> {
        let partitions = self.partitions.lock().unwrap();
        partitions.records[partition as usize].get(offset as usize).cloned()
    }
}

#[derive(Debug)]
struct MemoryReader {
    log: MemoryLog,
    grown: watch::Receiver<u64>,
    start: Position,
    ends: Position,
    next: Position,
    caught_up: bool,
}

#[async_trait]
impl LogReader for MemoryReader {
    fn start(&self) -> &Position {
        &self.start
    }
    fn ends(&self) -> &Position {
        &self.ends
    }
    async fn next(&mut self) -> anyhow::Result<LogItem> {
        loop {
            self.grown.mark_unchanged();
            for (partition, next) in &mut self.next {
                if let Some(placed) = self.log.at(*partition, *next) {
                    *next += 1;
                    return Ok(LogItem::Reading(placed));
                }
            }
            if !self.caught_up {
                self.caught_up = true;
                return Ok(LogItem::CaughtUp);
            }
            self.grown.changed().await?;
        }
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn read(&self, from: Position) -> anyhow::Result<Box<dyn LogReader>> {
        let mut ends = self.end();
        ends.retain(|partition, _| from.contains_key(partition));
        let clamp = |(partition, next): (i32, i64)| (partition, next.min(ends[&partition]));
        let from: Position = from.into_iter().map(clamp).collect();
        Ok(Box::new(MemoryReader {
            log: self.clone(),
            grown: self.grown.subscribe(),
            start: from.clone(),
            ends,
            next: from,
            caught_up: false,
        }))
    }
    async fn ends(&self) -> anyhow::Result<Position> {
        Ok(self.end())
    }
    async fn at_time(&self, _: Timestamp) -> anyhow::Result<Position> {
        Ok((0..12).map(|at| (at, 0)).collect())
    }
}

/// What outlives a server: the store, the bus, the log.
#[derive(Clone)]
pub(super) struct World {
    pub(super) documents: Arc<MemoryDocuments>,
    pub(super) memory: Arc<MemoryBus>,
    pub(super) bus: Bus,
    pub(super) log: MemoryLog,
    pub(super) instance: InstanceId,
    pub(super) lineage: Option<Lineage>,
    pub(super) key: TokenKey,
    pub(super) changes: broadcast::Sender<InstanceId>,
}

/// One start of the service, in a runtime of its own that can be killed at any point.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    /// Ends everything of it wherever it is.
    pub(super) fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        let (memory, bus) = MemoryBus::bus("sensor-manager");
        Self {
            documents: Arc::default(),
            memory,
            bus,
            log: MemoryLog::new(),
            instance: InstanceId::new(),
            lineage: None,
            key: TokenKey::new("key"),
            changes: broadcast::channel(16).0,
        }
    }

    pub(super) fn sessions(&self) -> Sessions {
        Sessions {
            leases: Entities::new(self.documents.clone(), self.bus.clone()),
            checkpoints: Entities::new(self.documents.clone(), self.bus.clone()),
        }
    }

    pub(super) async fn bind(&self, sensors: &[usize]) {
        let members = sensors.iter().map(|index| BoundMember {
            id: sensor(*index).uuid(),
            name: format!("sensor {index}"),
            type_name: "temperature".to_owned(),
            location: "Lab".to_owned(),
        });
        let slot = BoundSlot {
            kind: ThingKind::Sensor,
            members: members.collect(),
        };
        self.set_binding(BindingState::Bound {
            slots: BTreeMap::from([("t".to_owned(), slot)]),
        })
        .await;
    }

    pub(super) async fn set_binding(&self, state: BindingState) {
        let bindings = Entities::<BindingRecord>::new(self.documents.clone(), self.bus.clone());
        let (instance, lineage, end) = (self.instance, self.lineage, self.log.end());
        bindings
            .apply(&instance.to_string(), None, |current, version| {
                Ok::<_, String>(Change::Put {
                    entity: BindingRecord {
                        binding: Binding {
                            instance,
                            state: state.clone(),
                            version,
                        },
                        wanted: None,
                        start: current.map_or_else(|| end.clone(), |current| current.start.clone()),
                        lineage,
                    },
                    records: Vec::new(),
                })
            })
            .await
            .unwrap();
        let _nobody_may_listen = self.changes.send(instance);
    }

    pub(super) fn serve(&self, process: &str) -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let world = self.clone();
        let holder = Holder {
            host: "host".to_owned(),
            process: process.to_owned(),
        };
        runtime.spawn(async move {
            let end = world.log.end();
            let hub = Hub::default();
            hub.begin(&end);
            let reader = world.log.read(end).await.unwrap();
            let following = hub.clone();
            tokio::spawn(async move { following.follow(reader).await });
            let gateway = Gateway {
                key: world.key.clone(),
                holder,
                sessions: world.sessions(),
                bindings: Entities::new(world.documents.clone(), world.bus.clone()),
                changes: world.changes.clone(),
                directory: Directory::of([]),
                hub,
                log: Arc::new(world.log.clone()),
                bus: world.bus.clone(),
                pace: Pace {
                    renew: Duration::from_millis(50),
                    retry: Duration::from_millis(5),
                    silence: Duration::from_secs(20),
                },
                shutdown: CancellationToken::new(),
            };
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router(gateway)).await.unwrap();
        });
        Server {
            address: told.recv().unwrap(),
            runtime: Some(runtime),
        }
    }
}

/// An application's side of a stream.
pub(super) struct App {
    pub(super) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Per sensor the numbers it has counted, in order: what it remembers.
    pub(super) state: BTreeMap<String, Vec<u64>>,
    pub(super) session: u64,
    pub(super) n: u64,
}

impl App {
    pub(super) async fn connect(address: SocketAddr, world: &World, query: &str) -> Result<Self, tungstenite::Error> {
        let mut request = format!("ws://{address}/v1/stream?{query}").into_client_request()?;
        let token = format!("Bearer {}", world.key.issue(world.instance));
        request.headers_mut().insert("authorization", token.parse().unwrap());
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        Ok(Self {
            socket,
            state: BTreeMap::new(),
            session: 0,
            n: 0,
        })
    }

    /// Returns the next frame, after it did what an application does with it; nothing when the connection is lost.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(DEADLINE, self.socket.next())
                .await
                .expect("silence");
            let text = match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                _ => return None,
            };
            let frame: Value = serde_json::from_str(&text).unwrap();
            match frame["type"].as_str().unwrap() {
                "opened" => {
                    self.session = frame["session"].as_u64().unwrap();
                    self.state = serde_json::from_value(frame["state"].clone()).unwrap_or_default();
                }
                "reading" => {
                    self.n += 1;
                    assert_eq!(frame["n"].as_u64(), Some(self.n));
                    let seq = frame["values"]["seq"].as_f64().unwrap() as u64;
                    let sensor = frame["sensor"].as_str().unwrap().to_owned();
                    self.state.entry(sensor).or_default().push(seq);
                }
                _ => {}
            }
            return Some(frame);
        }
    }

    /// Goes on until a frame of that type.
    pub(super) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await.expect("the connection was lost");
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    pub(super) async fn checkpoint(&mut self) -> Result<(), tungstenite::Error> {
        let message = json!({"type": "checkpoint", "n": self.n, "state": self.state});
        self.socket.send(Message::text(message.to_string())).await
    }

    pub(super) fn counted(&self) -> usize {
        self.state.values().map(Vec::len).sum()
    }
}

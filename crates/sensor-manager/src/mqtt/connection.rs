//! One connection: the loop between a socket, its session and its pipeline.
//!
//! Reading, acknowledging, handing out commands and writing go on side by side: a slow Kafka stops the publishes but
//! neither the pings nor the commands. Memory is bounded: when what waits for Kafka or for the client's reading is too
//! much, nothing more is read.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use common::messages::registry::Connector;
use common::{DeviceId, Timestamp};
use runtime::BusError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::Instant;

use super::connected::Presence;
use super::handshake::{self, Greeting};
use super::packet::{Connect, Fault, Reason};
use super::pipeline::Pipeline;
use super::session::{Answer, Session, Step, Work};
use super::work::Worker;
use super::{Shared, decode, encode};
use crate::devices::Watch;
use crate::{credentials, ingest};

/// Bytes to a client that does not read, beyond which nothing more is read from it.
const MAX_UNWRITTEN: usize = 256 * 1024;
/// How long a client may not read at all while there is something for it.
const STUCK: Duration = Duration::from_secs(30);
/// How often time is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Every so many ticks the registry is asked whether the connector may still be connected.
const TICKS_PER_REVIEW: u32 = 5;
/// How long the end waits for Kafka; what is not confirmed then, the client sends again.
const DRAIN: Duration = Duration::from_secs(35);
const DRAIN_AT_SHUTDOWN: Duration = Duration::from_secs(2);

/// A socket with its buffers.
struct Wire<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    input: BytesMut,
    out: BytesMut,
}

/// Why a connection ended.
#[derive(Debug)]
enum End {
    Bye,
    Gone,
    Broken(String),
    Fault(Fault),
    TakenOver,
    KeepAlive,
    Stuck,
    Unregistered,
    NotConfirmed(BusError),
    Shutdown,
}

impl End {
    /// Returns what DISCONNECT says, where it is not the client that ended the connection.
    fn farewell(&self) -> Option<(Reason, String)> {
        let (reason, text) = match self {
            Self::Bye | Self::Gone | Self::Broken(_) | Self::Stuck => return None,
            Self::Fault(fault) => (fault.reason, fault.text.clone()),
            Self::TakenOver => (
                Reason::SessionTakenOver,
                "another connection with the same client id".to_owned(),
            ),
            Self::KeepAlive => (
                Reason::KeepAliveTimeout,
                "nothing came within one and a half keep-alive intervals".to_owned(),
            ),
            Self::Unregistered => (
                Reason::NotAuthorized,
                "the connector was removed or its secret changed".to_owned(),
            ),
            Self::NotConfirmed(_) => (
                Reason::ServerUnavailable,
                "kafka does not confirm; send again what was not acknowledged".to_owned(),
            ),
            Self::Shutdown => (
                Reason::ServerShuttingDown,
                "the service stops; connect again".to_owned(),
            ),
        };
        Some((reason, text))
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bye => f.write_str("the client said good-bye"),
            Self::Gone => f.write_str("the client closed the connection"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Stuck => f.write_str("the client did not read for 30 s"),
            other => f.write_str(&other.farewell().map(|(_, text)| text).unwrap_or_default()),
        }
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Serves a client until either side ends it.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Send>(stream: S, shared: Arc<Shared>) {
    let (reader, writer) = tokio::io::split(stream);
    let mut wire = Wire {
        reader,
        writer,
        input: BytesMut::new(),
        out: BytesMut::new(),
    };
    let greeting = tokio::select! {
        greeting = tokio::time::timeout(shared.limits.connect_timeout, wire.greet(&shared)) => greeting,
        () = shared.shutdown.cancelled() => return,
    };
    let (connect, connector) = match greeting {
        Ok(Some((connect, connector))) => (connect, connector),
        Ok(None) => return wire.close().await,
        Err(_) => {
            tracing::debug!("a client did not introduce itself in time");
            return;
        }
    };
    let presence = shared.connected.enter(connector.id, &connect.client_id);
    tracing::info!(connector = %connector.id, client = connect.client_id, version = ?connect.version, "connected");
    let mut connection = Connection::new(wire, &connect, connector, shared);
    let end = connection.live(&presence).await;
    tracing::info!(connector = %connection.connector.id, client = connect.client_id, end = %end, "disconnected");
    connection.finish(end).await;
}

impl<S: AsyncRead + AsyncWrite + Send> Wire<S> {
    async fn greet(&mut self, shared: &Shared) -> Option<(Box<Connect>, Arc<Connector>)> {
        loop {
            let directory = &shared.ingest.directory;
            match handshake::greet(&mut self.input, &mut self.out, directory, &shared.limits) {
                Greeting::Accepted(connect, connector) => return Some((connect, connector)),
                Greeting::Refused(fault) => {
                    metrics::counter!("mqtt_refused_total", "reason" => format!("{:?}", fault.reason)).increment(1);
                    tracing::info!(reason = ?fault.reason, text = fault.text, "refused a client");
                    return None;
                }
                Greeting::Incomplete => {}
            }
            if !matches!(self.reader.read_buf(&mut self.input).await, Ok(length) if length > 0) {
                return None;
            }
        }
    }

    /// Writes what is left, if the client takes it.
    async fn close(mut self) {
        let Self { writer, out, .. } = &mut self;
        let work = async {
            writer.write_all(out).await?;
            writer.shutdown().await
        };
        if !matches!(tokio::time::timeout(Duration::from_secs(1), work).await, Ok(Ok(()))) {
            tracing::debug!("a client was gone before its last answer");
        }
    }
}

struct Connection<S> {
    wire: Wire<S>,
    session: Session,
    pipeline: Pipeline<Work, Answer>,
    worker: Worker,
    watch: Watch,
    connector: Arc<Connector>,
    shared: Arc<Shared>,
    /// One and a half times what the client named.
    silence: Option<Duration>,
    heard: Instant,
    written: Instant,
    ticks: u32,
}

impl<S: AsyncRead + AsyncWrite + Send> Connection<S> {
    fn new(wire: Wire<S>, connect: &Connect, connector: Arc<Connector>, shared: Arc<Shared>) -> Self {
        let watch = shared.commands.watch();
        let silence = Duration::from_millis(u64::from(connect.keep_alive) * 1500);
        Self {
            wire,
            session: Session::new(connect, shared.limits.receive_maximum),
            pipeline: Pipeline::new(shared.limits.window),
            worker: Worker {
                ingest: shared.ingest.clone(),
                commands: shared.commands.clone(),
                connector: connector.id,
            },
            watch,
            connector,
            shared,
            silence: (connect.keep_alive > 0).then_some(silence),
            heard: Instant::now(),
            written: Instant::now(),
            ticks: 0,
        }
    }

    async fn live(&mut self, presence: &Presence) -> End {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if let Err(end) = self.parse() {
                return end;
            }
            let (paused, unwritten) = (self.is_paused(), self.wire.out.len());
            let Wire {
                reader,
                writer,
                input,
                out,
            } = &mut self.wire;
            let (pipeline, worker) = (&mut self.pipeline, &self.worker);
            input.reserve(8 * 1024);
            let outcome = tokio::select! {
                read = reader.read_buf(input), if !paused => self.on_read(read),
                wrote = writer.write_buf(out), if unwritten > 0 => self.on_written(wrote),
                answers = poll_fn(|context| pipeline.poll_answers(context, &|work| worker.begin(work))) => self.on_answers(answers),
                devices = self.watch.changed(), if unwritten < MAX_UNWRITTEN => {
                    self.hand_out(devices);
                    Ok(())
                }
                _ = tick.tick() => self.on_tick(),
                () = presence.taken_over.cancelled() => Err(End::TakenOver),
                () = self.shared.shutdown.cancelled() => Err(End::Shutdown),
            };
            if let Err(end) = outcome {
                return end;
            }
        }
    }

    /// Whether nothing more may be read for now.
    fn is_paused(&self) -> bool {
        self.pipeline.is_full() || self.wire.out.len() >= MAX_UNWRITTEN
    }

    /// Takes in the packets that have arrived, as far as there is room.
    fn parse(&mut self) -> Result<(), End> {
        while !self.is_paused() {
            let (version, max) = (self.session.version(), self.shared.limits.max_packet);
            let Some(packet) = decode::read(&mut self.wire.input, version, max)? else {
                return Ok(());
            };
            let now = Timestamp::now();
            let owns = |device| self.worker.carries(device, now);
            match self.session.on_packet(packet, now, &owns, &mut self.wire.out)? {
                Step::Nothing => {}
                Step::Take(work, size) => {
                    self.pipeline.push(work, size);
                    // A command was acknowledged: others may have waited for that.
                    for device in self.session.take_held() {
                        self.watch.add(device);
                    }
                }
                Step::Watch(devices) => devices.into_iter().for_each(|device| self.watch.add(device)),
                Step::Unwatch(devices) => devices.into_iter().for_each(|device| self.watch.remove(device)),
                Step::Bye => return Err(End::Bye),
            }
        }
        Ok(())
    }

    fn on_read(&mut self, read: std::io::Result<usize>) -> Result<(), End> {
        match read {
            Ok(0) => Err(End::Gone),
            Ok(_) => {
                self.heard = Instant::now();
                Ok(())
            }
            Err(error) => Err(End::Broken(error.to_string())),
        }
    }

    fn on_written(&mut self, wrote: std::io::Result<usize>) -> Result<(), End> {
        self.written = Instant::now();
        match wrote {
            Ok(length) if length > 0 => Ok(()),
            Ok(_) => Err(End::Gone),
            Err(error) => Err(End::Broken(error.to_string())),
        }
    }

    fn on_answers(&mut self, answers: Result<Vec<Answer>, BusError>) -> Result<(), End> {
        if self.wire.out.is_empty() {
            self.written = Instant::now();
        }
        for answer in answers.map_err(End::NotConfirmed)? {
            self.session.answer(&answer, &mut self.wire.out);
        }
        Ok(())
    }

    fn hand_out(&mut self, devices: BTreeSet<DeviceId>) {
        let now = Timestamp::now();
        if self.wire.out.is_empty() {
            self.written = Instant::now();
        }
        for device in devices {
            if self.worker.carries(device, now) {
                let waiting = self.worker.commands.of(device, now);
                self.session.hand_out(device, &waiting, &mut self.wire.out);
            } else {
                self.session.drop_subscription(device);
                self.watch.remove(device);
            }
        }
    }

    fn on_tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.is_paused() {
            // The client can not be heard: it is not its fault.
            self.heard = now;
        }
        if self
            .silence
            .is_some_and(|silence| now.duration_since(self.heard) > silence)
        {
            return Err(End::KeepAlive);
        }
        if !self.wire.out.is_empty() && now.duration_since(self.written) > STUCK {
            return Err(End::Stuck);
        }
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(TICKS_PER_REVIEW)
            && !credentials::still_valid(&self.worker.ingest.directory, &self.connector)
        {
            return Err(End::Unregistered);
        }
        Ok(())
    }

    /// Lets what was received become durable, says why it is over, and closes.
    async fn finish(mut self, end: End) {
        match &end {
            End::NotConfirmed(error) => {
                metrics::counter!("mqtt_not_confirmed_total").increment(1);
                tracing::warn!(connector = %self.connector.id, %error, "kafka does not confirm: the client has to send again");
            }
            End::Shutdown => self.drain(DRAIN_AT_SHUTDOWN).await,
            _ => self.drain(DRAIN).await,
        }
        if let Some((reason, why)) = end.farewell() {
            encode::disconnect(&mut self.wire.out, self.session.version(), reason, &why);
        }
        self.wire.close().await;
    }

    /// A client that publishes at `QoS` 0 and leaves at once has still been heard.
    async fn drain(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while !self.pipeline.is_empty() {
            let (pipeline, worker) = (&mut self.pipeline, &self.worker);
            let answers = poll_fn(|context| pipeline.poll_answers(context, &|work| worker.begin(work)));
            match tokio::time::timeout_at(deadline, answers).await {
                Ok(answers) => {
                    if self.on_answers(answers).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
            if self.wire.out.len() >= MAX_UNWRITTEN {
                self.wire.out.clear();
            }
        }
    }
}

impl Worker {
    fn carries(&self, device: DeviceId, received: Timestamp) -> bool {
        let sender = ingest::Sender {
            connector: self.connector,
            via: "mqtt",
            received,
        };
        self.commands.carries(sender, device)
    }
}

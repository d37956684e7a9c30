//! A connector that speaks MQTT 3.1.1: acknowledged publishes of readings and answers, commands as they come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use common::ids::{ActionId, DeviceId};
use common::time::Timestamp;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::config::ConnectorConfig;
use crate::device::{Answer, Command, Device};
use crate::journal::{Entry, Journal};
use crate::outbox::Outbox;
use crate::reading::Reading;
use crate::stats::{Counters, add};

/// The devices of a simulation, by id; shared with whoever asks for their state.
pub(crate) type Devices = Arc<Mutex<HashMap<DeviceId, Device>>>;

/// Something that must be published and acknowledged.
#[derive(Debug)]
enum Message {
    Reading(Reading),
    Answer {
        device: DeviceId,
        command: ActionId,
        answer: Answer,
    },
}

impl Message {
    fn topic(&self) -> String {
        match self {
            Self::Reading(reading) => format!("v1/sensors/{}/readings", reading.sensor),
            Self::Answer { device, command, .. } => format!("v1/devices/{device}/commands/{command}/state"),
        }
    }

    fn payload(&self) -> serde_json::Result<Vec<u8>> {
        match self {
            Self::Reading(reading) => serde_json::to_vec(&reading.body()),
            Self::Answer { answer, .. } => serde_json::to_vec(answer),
        }
    }
}

/// An MQTT connector ready to run.
pub(crate) struct MqttConnector {
    pub(crate) config: ConnectorConfig,
    pub(crate) address: (String, u16),
    pub(crate) in_flight: u16,
    pub(crate) buffer: usize,
    pub(crate) readings: mpsc::Receiver<Reading>,
    pub(crate) devices: Devices,
    pub(crate) journal: Journal,
    pub(crate) counters: Arc<Counters>,
    /// Cancelled when the simulation should end once everything is acknowledged.
    pub(crate) finish: CancellationToken,
    /// Cancelled when it must end at once.
    pub(crate) abandon: CancellationToken,
}

/// What keeps a connector running across connections.
struct Progress {
    outbox: Outbox<Message>,
    backoff: Backoff,
    /// Whether all its sensors have ended.
    ended: bool,
}

impl MqttConnector {
    /// Runs until everything is acknowledged after `finish`, or until `abandon`.
    pub(crate) async fn run(mut self) {
        let mut progress = Progress {
            outbox: Outbox::new(self.in_flight.into()),
            backoff: Backoff::default(),
            ended: false,
        };
        let abandon = self.abandon.clone();
        loop {
            let session = self.session(&mut progress);
            let error = tokio::select! {
                () = abandon.cancelled() => return,
                result = session => match result {
                    Ok(()) => return,
                    Err(error) => error,
                },
            };
            add(&self.counters.disconnects, 1);
            progress.outbox.disconnected();
            let wait = progress.backoff.wait();
            warn!(connector = %self.config.id, %error, wait_ms = wait.as_millis(), "connection lost");
            tokio::select! {
                () = abandon.cancelled() => return,
                () = self.pause(&mut progress, wait) => {}
            }
        }
    }

    /// Goes on taking readings in while there is no connection.
    async fn pause(&mut self, progress: &mut Progress, wait: Duration) {
        let end = tokio::time::sleep(wait);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return,
                reading = self.readings.recv(), if !progress.ended && progress.outbox.len() < self.buffer => {
                    progress.take(reading);
                }
            }
        }
    }

    /// Lives through one connection; returns `Ok` when there is nothing left to do.
    async fn session(&mut self, progress: &mut Progress) -> anyhow::Result<()> {
        let (client, event_loop) = self.client();
        let (sender, mut events) = mpsc::channel(1024);
        // The event loop is polled by a task of its own: a poll that is dropped half-way would lose a connection attempt.
        let poller = AbortOnDrop(tokio::spawn(poll(event_loop, sender)));
        let mut connected = false;
        loop {
            if connected {
                self.submit(&client, progress)?;
                if self.finish.is_cancelled() && progress.ended && progress.outbox.is_empty() {
                    return close(&client, poller).await;
                }
            }
            tokio::select! {
                event = events.recv() => match event.context("the client has ended")? {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        connected = true;
                        progress.backoff.succeeded();
                        self.subscribe(&client)?;
                        info!(connector = %self.config.id, "connected");
                    }
                    Ok(event) => self.on_event(&client, progress, event)?,
                    Err(error) => bail!(error),
                },
                reading = self.readings.recv(), if !progress.ended && progress.outbox.len() < self.buffer => {
                    progress.take(reading);
                }
                () = self.finish.cancelled(), if progress.ended && progress.outbox.is_empty() && !connected => return Ok(()),
                () = self.finish.cancelled(), if progress.ended && connected && progress.outbox.is_empty() => {}
            }
        }
    }

    fn client(&self) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(self.config.id.to_string(), &self.address.0, self.address.1);
        options.set_credentials(self.config.id.to_string(), self.config.secret.reveal());
        options.set_clean_session(true);
        options.set_manual_acks(true);
        options.set_keep_alive(Duration::from_secs(5));
        options.set_inflight(self.in_flight);
        options.set_max_packet_size(1 << 20, 1 << 20);
        // Room for every message in flight, every subscription and a burst of acknowledgements: `try_*` never finds it full.
        let room = usize::from(self.in_flight) + self.config.devices.len() + 4096;
        let (client, mut event_loop) = AsyncClient::new(options, room);
        let mut network = event_loop.network_options();
        network.set_connection_timeout(5);
        network.set_tcp_nodelay(true);
        event_loop.set_network_options(network);
        (client, event_loop)
    }

    fn subscribe(&self, client: &AsyncClient) -> anyhow::Result<()> {
        for device in &self.config.devices {
            client
                .try_subscribe(format!("v1/devices/{}/commands", device.id), QoS::AtLeastOnce)
                .context("could not subscribe")?;
        }
        Ok(())
    }

    fn submit(&self, client: &AsyncClient, progress: &mut Progress) -> anyhow::Result<()> {
        while let Some(message) = progress.outbox.give() {
            if matches!(message, Message::Reading(_)) {
                add(&self.counters.sent, 1);
            }
            client
                .try_publish(message.topic(), QoS::AtLeastOnce, false, message.payload()?)
                .context("could not publish")?;
        }
        Ok(())
    }

    fn on_event(&self, client: &AsyncClient, progress: &mut Progress, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Outgoing(Outgoing::Publish(packet)) => progress.outbox.sent(packet),
            Event::Incoming(Packet::PubAck(ack)) => {
                if let Some(message) = progress.outbox.acknowledged(ack.pkid) {
                    self.settle(message);
                }
            }
            Event::Incoming(Packet::Publish(publish)) => {
                self.on_command(progress, &publish);
                // The answer is in the outbox and outlives this connection; now the platform may forget the command.
                client.try_ack(&publish).context("could not acknowledge a command")?;
            }
            Event::Incoming(Packet::SubAck(ack)) => {
                if ack.return_codes.contains(&rumqttc::SubscribeReasonCode::Failure) {
                    bail!("the platform refused the subscription to a device's commands");
                }
            }
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
        Ok(())
    }

    fn settle(&self, message: Message) {
        match message {
            Message::Reading(reading) => {
                self.journal.record(Entry::Reading(reading.journalled()));
                self.counters.acknowledged();
            }
            Message::Answer {
                device,
                command,
                answer,
            } => {
                self.journal.record(Entry::Answered {
                    device,
                    command,
                    answer,
                });
            }
        }
    }

    fn on_command(&self, progress: &mut Progress, publish: &Publish) {
        let device = publish
            .topic
            .split('/')
            .nth(2)
            .and_then(|id| id.parse::<DeviceId>().ok());
        let command = serde_json::from_slice::<Command>(&publish.payload);
        let (Some(device), Ok(command)) = (device, command) else {
            warn!(topic = publish.topic, "a command could not be understood");
            return;
        };
        if let Some(answer) = obey(&self.devices, device, &command, &self.journal, &self.counters) {
            progress.outbox.push(Message::Answer {
                device,
                command: command.id,
                answer,
            });
        }
    }
}

impl Progress {
    fn take(&mut self, reading: Option<Reading>) {
        match reading {
            Some(reading) => self.outbox.push(Message::Reading(reading)),
            None => self.ended = true,
        }
    }
}

/// Lets a device carry out a command; nothing when the device is not one of ours.
pub(crate) fn obey(
    devices: &Devices,
    device: DeviceId,
    command: &Command,
    journal: &Journal,
    counters: &Counters,
) -> Option<Answer> {
    let mut devices = devices.lock().unwrap_or_else(PoisonError::into_inner);
    let (answer, repeat) = devices.get_mut(&device)?.handle(command, Timestamp::now());
    if !repeat {
        add(&counters.commands, 1);
    }
    journal.record(Entry::Command {
        device,
        command: command.id,
        name: command.command.clone(),
        arguments: command.arguments.clone(),
        repeat,
    });
    Some(answer)
}

/// Polls until an error, which is the last thing it sends. Acknowledgements that arrived in the same read as the error
/// are already in the client's queue: they count.
async fn poll(mut event_loop: EventLoop, events: mpsc::Sender<Result<Event, rumqttc::ConnectionError>>) {
    loop {
        match event_loop.poll().await {
            Ok(event) => {
                if events.send(Ok(event)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                for event in std::mem::take(&mut event_loop.state.events) {
                    if events.send(Ok(event)).await.is_err() {
                        return;
                    }
                }
                if events.send(Err(error)).await.is_err() {
                    debug!("the connector had ended before its connection");
                }
                return;
            }
        }
    }
}

/// Says good-bye; what was to be acknowledged is, so a failure here loses nothing.
async fn close(client: &AsyncClient, mut poller: AbortOnDrop) -> anyhow::Result<()> {
    if client.try_disconnect().is_ok()
        && tokio::time::timeout(Duration::from_millis(500), &mut poller.0)
            .await
            .is_err()
    {
        debug!("the platform did not close the connection");
    }
    Ok(())
}

/// A task that ends with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

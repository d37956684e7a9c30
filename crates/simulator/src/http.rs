//! A connector that speaks HTTP: posts readings in order, one request per sensor at a time; fetches commands.

use std::sync::Arc;
use std::time::Duration;

use common::ids::{ActionId, DeviceId, SensorId};
use reqwest::{Client, StatusCode};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::backoff::Backoff;
use crate::config::ConnectorConfig;
use crate::device::{Answer, Command};
use crate::journal::{Entry, Journal};
use crate::mqtt::{Devices, obey};
use crate::reading::Reading;
use crate::stats::{Counters, add};

/// Seconds that the platform may hold a request for commands open.
const POLL_SECONDS: u64 = 25;

/// What the tasks of an HTTP connector share.
#[derive(Clone)]
pub(crate) struct HttpConnector {
    pub(crate) client: Client,
    pub(crate) base: String,
    pub(crate) config: Arc<ConnectorConfig>,
    pub(crate) in_flight: u16,
    pub(crate) devices: Devices,
    pub(crate) journal: Journal,
    pub(crate) counters: Arc<Counters>,
    pub(crate) finish: CancellationToken,
    pub(crate) abandon: CancellationToken,
}

/// How an attempt ended.
enum Attempt {
    Accepted(String),
    /// It will never be accepted.
    Refused(String),
    /// It may be accepted later.
    Failed(String),
}

impl HttpConnector {
    /// Posts what a sensor produces until it ends and everything is accepted.
    pub(crate) async fn run_sensor(self, sensor: SensorId, mut readings: mpsc::Receiver<Reading>) {
        let abandon = self.abandon.clone();
        let work = async {
            let mut batch = Vec::new();
            while readings.recv_many(&mut batch, self.in_flight.into()).await > 0 {
                self.deliver(sensor, &batch).await;
                batch.clear();
            }
        };
        tokio::select! {
            () = abandon.cancelled() => {}
            () = work => {}
        }
    }

    async fn deliver(&self, sensor: SensorId, batch: &[Reading]) {
        let address = format!("{}/v1/sensors/{sensor}/readings", self.base);
        let body = serde_json::Value::Array(batch.iter().map(Reading::body).collect());
        let length = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        match self.post(&address, &body, || add(&self.counters.sent, length)).await {
            Ok(()) => {
                for reading in batch {
                    self.journal.record(Entry::Reading(reading.journalled()));
                    self.counters.acknowledged();
                }
            }
            Err(reason) => {
                warn!(%sensor, reason, "readings were refused");
                for reading in batch {
                    let reason = reason.clone();
                    self.journal.record(Entry::Rejected {
                        reading: reading.journalled(),
                        reason,
                    });
                    self.counters.rejected();
                }
            }
        }
    }

    /// Posts until it is accepted (`Ok`) or refused for good (`Err`).
    async fn post(&self, address: &str, body: &serde_json::Value, before: impl Fn()) -> Result<(), String> {
        let mut backoff = Backoff::default();
        loop {
            before();
            let request = self.client.post(address).json(body).timeout(Duration::from_secs(20));
            match self.attempt(request).await {
                Attempt::Accepted(_) => return Ok(()),
                Attempt::Refused(reason) => return Err(reason),
                Attempt::Failed(error) => self.wait(&error, &mut backoff).await,
            }
        }
    }

    async fn wait(&self, error: &str, backoff: &mut Backoff) {
        add(&self.counters.disconnects, 1);
        let wait = backoff.wait();
        warn!(connector = %self.config.id, error, wait_ms = wait.as_millis(), "request failed");
        tokio::time::sleep(wait).await;
    }

    async fn attempt(&self, request: reqwest::RequestBuilder) -> Attempt {
        let request = request.basic_auth(self.config.id, Some(self.config.secret.reveal()));
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Attempt::Failed(format!("{:#}", anyhow::Error::from(error))),
        };
        let status = response.status();
        let text = match response.text().await {
            Ok(text) => text,
            Err(error) => return Attempt::Failed(format!("{:#}", anyhow::Error::from(error))),
        };
        match status {
            status if status.is_success() => Attempt::Accepted(text),
            // A connector that is not registered yet, or whose secret was just changed, may be let in later.
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS => Attempt::Failed(format!("{status}: {text}")),
            status if status.is_client_error() => Attempt::Refused(format!("{status}: {text}")),
            status => Attempt::Failed(format!("{status}: {text}")),
        }
    }

    /// Fetches and answers a device's commands until the simulation ends.
    pub(crate) async fn run_device(self, device: DeviceId) {
        let address = format!("{}/v1/devices/{device}/commands", self.base);
        let mut backoff = Backoff::default();
        let finish = self.finish.clone();
        loop {
            let request = self
                .client
                .get(format!("{address}?wait={POLL_SECONDS}"))
                .timeout(Duration::from_secs(POLL_SECONDS + 10));
            let attempt = tokio::select! {
                () = finish.cancelled() => return,
                attempt = self.attempt(request) => attempt,
            };
            let failure = match attempt {
                Attempt::Accepted(text) => match serde_json::from_str::<Vec<Command>>(&text) {
                    Ok(commands) => {
                        backoff.succeeded();
                        self.obey_all(device, &address, &commands).await;
                        continue;
                    }
                    Err(error) => format!("not a list of commands: {error}"),
                },
                Attempt::Refused(reason) | Attempt::Failed(reason) => reason,
            };
            tokio::select! {
                () = finish.cancelled() => return,
                () = self.wait(&failure, &mut backoff) => {}
            }
        }
    }

    async fn obey_all(&self, device: DeviceId, address: &str, commands: &[Command]) {
        for command in commands {
            let Some(answer) = obey(&self.devices, device, command, &self.journal, &self.counters) else {
                continue;
            };
            tokio::select! {
                () = self.abandon.cancelled() => return,
                () = self.answer(device, address, command.id, answer) => {}
            }
        }
    }

    async fn answer(&self, device: DeviceId, address: &str, command: ActionId, answer: Answer) {
        let Ok(body) = serde_json::to_value(&answer) else {
            return;
        };
        match self.post(&format!("{address}/{command}/state"), &body, || {}).await {
            Ok(()) => self.journal.record(Entry::Answered {
                device,
                command,
                answer,
            }),
            Err(reason) => warn!(%device, %command, reason, "an answer was refused"),
        }
    }
}

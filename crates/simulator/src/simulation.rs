//! A simulation that runs inside this process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Context;
use common::ids::DeviceId;
use common::time::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, ConnectorConfig, Protocol, SensorConfig};
use crate::device::Device;
use crate::generator::Generator;
use crate::http::HttpConnector;
use crate::journal::Journal;
use crate::mqtt::{Devices, MqttConnector};
use crate::reading::Reading;
use crate::sensor::Sensor;
use crate::stats::{Counters, Stats};

/// A running simulation. Dropping it ends everything at once; [`Simulation::stop`] ends it in good order.
#[derive(Debug)]
pub struct Simulation {
    config: Config,
    boot: u64,
    sensors: TaskTracker,
    connectors: TaskTracker,
    devices: Devices,
    journal: Journal,
    counters: Arc<Counters>,
    finish: CancellationToken,
    abandon: CancellationToken,
}

impl Simulation {
    /// Starts all connectors, sensors and devices; does not wait for a connection.
    ///
    /// # Errors
    /// When the configuration is wrong, or the journal or a CSV file cannot be opened.
    pub async fn start(config: Config, journal: Option<&Path>) -> anyhow::Result<Self> {
        config.check()?;
        let mut generators = Vec::new();
        for sensor in config.connectors.iter().flat_map(|connector| &connector.sensors) {
            let generator =
                Generator::open(sensor, config.seed).with_context(|| format!("sensor {} cannot start", sensor.id))?;
            generators.push(generator);
        }
        let devices = config.connectors.iter().flat_map(|connector| &connector.devices);
        let devices = devices.map(|device| (device.id, Device::new(device.clone()))).collect();
        let simulation = Self {
            boot: u64::try_from(Timestamp::now().millis()).unwrap_or_default(),
            sensors: TaskTracker::new(),
            connectors: TaskTracker::new(),
            devices: Arc::new(std::sync::Mutex::new(devices)),
            journal: Journal::open(journal)?,
            counters: Arc::default(),
            finish: CancellationToken::new(),
            abandon: CancellationToken::new(),
            config,
        };
        let mut generators = generators.into_iter();
        for connector in &simulation.config.connectors {
            match connector.protocol {
                Protocol::Mqtt => simulation.start_mqtt(connector, &mut generators)?,
                Protocol::Http => simulation.start_http(connector, &mut generators)?,
            }
        }
        simulation.sensors.close();
        simulation.connectors.close();
        Ok(simulation)
    }

    fn start_mqtt(
        &self,
        connector: &ConnectorConfig,
        generators: &mut impl Iterator<Item = Generator>,
    ) -> anyhow::Result<()> {
        // The connector's outbox is the buffer; the channel only hands over.
        let (sender, readings) = mpsc::channel(1);
        for (sensor, generator) in connector.sensors.iter().zip(generators) {
            self.start_sensor(sensor, generator, sender.clone());
        }
        let connector = MqttConnector {
            config: connector.clone(),
            address: self.config.mqtt_address()?,
            in_flight: self.config.in_flight,
            buffer: self.config.buffer,
            readings,
            devices: self.devices.clone(),
            journal: self.journal.clone(),
            counters: self.counters.clone(),
            finish: self.finish.clone(),
            abandon: self.abandon.clone(),
        };
        self.connectors.spawn(connector.run());
        Ok(())
    }

    fn start_http(
        &self,
        connector: &ConnectorConfig,
        generators: &mut impl Iterator<Item = Generator>,
    ) -> anyhow::Result<()> {
        let base = self.config.servers.http.clone().unwrap_or_default();
        let http = HttpConnector {
            client: reqwest::Client::builder()
                .build()
                .context("could not prepare the http client")?,
            base: base.trim_end_matches('/').to_owned(),
            config: Arc::new(connector.clone()),
            in_flight: self.config.in_flight,
            devices: self.devices.clone(),
            journal: self.journal.clone(),
            counters: self.counters.clone(),
            finish: self.finish.clone(),
            abandon: self.abandon.clone(),
        };
        for (sensor, generator) in connector.sensors.iter().zip(generators) {
            let (sender, readings) = mpsc::channel(self.config.buffer);
            self.start_sensor(sensor, generator, sender);
            self.connectors.spawn(http.clone().run_sensor(sensor.id, readings));
        }
        for device in &connector.devices {
            self.connectors.spawn(http.clone().run_device(device.id));
        }
        Ok(())
    }

    fn start_sensor(&self, config: &SensorConfig, generator: Generator, out: mpsc::Sender<Reading>) {
        let sensor = Sensor {
            config: config.clone(),
            generator,
            boot: self.boot,
            count: self.config.count,
            counters: self.counters.clone(),
        };
        let finish = self.finish.clone();
        self.sensors.spawn(async move {
            tokio::select! {
                () = finish.cancelled() => {}
                () = sensor.run(out) => {}
            }
        });
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// Returns the `boot` of all readings of this run.
    #[must_use]
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Returns a device's state, or nothing for a device that is not simulated.
    #[must_use]
    pub fn device_state(&self, device: DeviceId) -> Option<BTreeMap<String, Value>> {
        let devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        devices.get(&device).map(|device| device.state().clone())
    }

    /// Waits until every sensor has ended (`count` reached, replay over) and everything is acknowledged. Connections and
    /// devices go on until [`Simulation::stop`].
    pub async fn finished(&self) {
        self.sensors.wait().await;
        if self
            .config
            .connectors
            .iter()
            .all(|connector| connector.sensors.is_empty())
        {
            std::future::pending::<()>().await;
        }
        self.counters.settled().await;
    }

    /// Stops the sensors, waits until everything sent is acknowledged, then closes the connections and completes the
    /// journal. After the deadline it gives up; [`Stats::in_flight`] then tells how many readings were left.
    ///
    /// # Errors
    /// When the journal could not be written.
    pub async fn stop(self, deadline: Duration) -> anyhow::Result<Stats> {
        self.finish.cancel();
        self.sensors.wait().await;
        if tokio::time::timeout(deadline, self.connectors.wait()).await.is_err() {
            self.abandon.cancel();
            self.connectors.wait().await;
        }
        self.journal.flush().await?;
        Ok(self.stats())
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        self.finish.cancel();
        self.abandon.cancel();
    }
}

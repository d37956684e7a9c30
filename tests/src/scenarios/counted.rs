//! A room on hosts whose application counts readings: what senders were told is compared with what it remembers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use simulator::Simulation;
use simulator::config::Servers;
use tokio::task::JoinHandle;

use super::path::instance_is;
use crate::client::Client;
use crate::rig::{Rig, RigHost};
use crate::site::{Plan, Site, bundle, id, types};
use crate::stack::ADMIN_PASSWORD;
use crate::wait::until;
use crate::{ledger, say};

const DRAINED: Duration = Duration::from_secs(60);
/// A request that was sent to a host which is gone meanwhile is sent again.
const ANSWERS: Duration = Duration::from_secs(10);

/// A room with three sensors at 150 readings a second in all, and `room-comfort` that runs on them.
pub(super) struct CountedRoom {
    admin: Client,
    site: Site,
    instance: String,
    simulation: Option<Simulation>,
}

impl CountedRoom {
    /// Signs the first admin in at the host with the console, and begins.
    pub(super) async fn begin(rig: &Rig, console: &RigHost, folder: &Path, name: &str) -> Result<Self> {
        let password = rig
            .run(console, "cat /var/lib/iot/secrets/first-admin.password")
            .await?;
        let base = format!("http://{}", console.address);
        let admin = Client::sign_in_first(&base, "admin", password.trim(), ADMIN_PASSWORD).await?;
        types(&admin).await?;
        admin.upload(bundle("room-comfort", "room-comfort")?).await?;
        Self::of(admin, console, folder, name).await
    }

    /// Begins where the application is.
    pub(super) async fn of(admin: Client, console: &RigHost, folder: &Path, name: &str) -> Result<Self> {
        let plan = Plan {
            sensors: 3,
            every_ms: 20,
            fans: 1,
            ..Plan::room(name)
        };
        let site = Site::register_at(&admin, servers(console), &plan, folder).await?;
        let instance = id(&site.run_now(&admin, "room-comfort", json!({})).await?)?;
        instance_is(&admin, &instance, "running").await?;
        let simulation = Some(site.play().await?);
        Ok(Self {
            admin,
            site,
            instance,
            simulation,
        })
    }

    /// The first admin, at the console it began at.
    pub(super) fn admin(&self) -> &Client {
        &self.admin
    }

    /// The room.
    pub(super) fn location(&self) -> &str {
        &self.site.location
    }

    /// Waits until the application counts on, as its page shows.
    pub(super) async fn counts_on(&self, deadline: Duration) -> Result<()> {
        let before = std::cell::Cell::new(None);
        until("the application counts on", deadline, || async {
            let count = shown(&self.data().await?).await?["count"].as_u64();
            let seen = before.replace(count);
            Ok((seen.is_some() && count > seen).then_some(()))
        })
        .await
    }

    async fn data(&self) -> Result<String> {
        let address = format!("/api/v1/instances/{}/page", self.instance);
        let page = self.admin.get(&address).await?;
        Ok(format!("{}live?once", page["url"].as_str().context("an address")?))
    }

    /// What senders were told.
    pub(super) fn journal(&self) -> &Path {
        self.site.journal()
    }

    /// How many connections its sensors lost, and how many readings were refused.
    pub(super) fn troubles(&self) -> Option<(u64, u64)> {
        let stats = self.simulation.as_ref().map(Simulation::stats);
        stats.map(|stats| (stats.disconnects, stats.rejected))
    }

    /// How many readings were acknowledged.
    pub(super) fn acknowledged(&self) -> Result<u64> {
        Ok(ledger::acknowledged(self.journal())?.values().sum())
    }

    /// Waits until 300 more readings were acknowledged.
    pub(super) async fn flows(&self) -> Result<()> {
        let before = self.acknowledged()?;
        until("readings flow", DRAINED, || async {
            Ok((self.acknowledged()? > before + 300).then_some(()))
        })
        .await
    }

    /// Sends no more; every reading that was acknowledged must have been counted once. Returns how many there are.
    pub(super) async fn pause(&mut self) -> Result<u64> {
        let data = self.data().await?;
        if let Some(simulation) = self.simulation.take() {
            simulation.stop(DRAINED).await?;
        }
        let acknowledged = ledger::acknowledged(self.site.journal())?;
        until("every acknowledged reading is counted once", DRAINED, || async {
            ledger::compare(&acknowledged, &shown(&data).await?)?;
            Ok(Some(()))
        })
        .await?;
        Ok(acknowledged.values().sum())
    }

    /// Its sensors are connected to another host from now on.
    pub(super) async fn connects_to(&mut self, host: &RigHost) -> Result<()> {
        if let Some(simulation) = self.simulation.take() {
            simulation.stop(DRAINED).await?;
        }
        self.site.connect_to(servers(host));
        self.go_on().await
    }

    /// Sends again.
    pub(super) async fn go_on(&mut self) -> Result<()> {
        self.simulation = Some(self.site.play().await?);
        Ok(())
    }

    /// Ends; every reading that was acknowledged must have been counted once.
    pub(super) async fn end(mut self) -> Result<()> {
        let count = self.pause().await?;
        say(&format!("    {count} readings acknowledged and counted"));
        Ok(())
    }
}

/// Where sensors send to on a host.
fn servers(host: &RigHost) -> Servers {
    Servers {
        mqtt: Some(format!("{}:1883", host.address)),
        http: Some(format!("http://{}:8082", host.address)),
    }
}

/// What the application's page shows now.
async fn shown(address: &str) -> Result<Value> {
    let asked = reqwest::Client::new().get(address).timeout(ANSWERS);
    let response = asked.send().await?;
    if !response.status().is_success() {
        anyhow::bail!("{} {}", response.status(), response.text().await?);
    }
    Ok(response.json().await?)
}

/// Measures the longest time in which nothing was acknowledged.
pub(super) struct Watch {
    longest: JoinHandle<()>,
    pause: Arc<Mutex<Duration>>,
}

impl Watch {
    pub(super) fn begin(journal: &Path) -> Self {
        let pause = Arc::new(Mutex::new(Duration::ZERO));
        let (journal, shared): (PathBuf, _) = (journal.to_owned(), pause.clone());
        let longest = tokio::spawn(async move {
            let (mut size, mut since) = (0, Instant::now());
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            loop {
                ticks.tick().await;
                let now = std::fs::metadata(&journal).map_or(size, |found| found.len());
                if now != size {
                    (size, since) = (now, Instant::now());
                }
                if let Ok(mut pause) = shared.lock() {
                    *pause = (*pause).max(since.elapsed());
                }
            }
        });
        Self { longest, pause }
    }

    /// The longest time in which nothing was acknowledged.
    pub(super) fn end(self) -> Duration {
        self.longest.abort();
        self.pause.lock().map_or(Duration::MAX, |pause| *pause)
    }
}

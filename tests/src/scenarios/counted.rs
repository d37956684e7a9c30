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

/// A room with three sensors at 150 readings a second in all, and `room-comfort` that runs on them.
pub(super) struct CountedRoom {
    admin: Client,
    site: Site,
    instance: String,
    simulation: Simulation,
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
        let plan = Plan {
            sensors: 3,
            every_ms: 20,
            fans: 1,
            ..Plan::room(name)
        };
        let servers = Servers {
            mqtt: Some(format!("{}:1883", console.address)),
            http: Some(format!("http://{}:8082", console.address)),
        };
        let site = Site::register_at(&admin, servers, &plan, folder).await?;
        let instance = id(&site.run_now(&admin, "room-comfort", json!({})).await?)?;
        instance_is(&admin, &instance, "running").await?;
        let simulation = site.play().await?;
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
        let live = self.live().await?;
        let before = std::cell::Cell::new(None);
        until("the application counts on", deadline, || async {
            let count = first_event(&live).await?["count"].as_u64();
            let seen = before.replace(count);
            Ok((seen.is_some() && count > seen).then_some(()))
        })
        .await
    }

    async fn live(&self) -> Result<String> {
        let address = format!("/api/v1/instances/{}/page", self.instance);
        let page = self.admin.get(&address).await?;
        Ok(format!("{}live", page["url"].as_str().context("an address")?))
    }

    /// What senders were told.
    pub(super) fn journal(&self) -> &Path {
        self.site.journal()
    }

    /// Waits until 300 more readings were acknowledged.
    pub(super) async fn flows(&self) -> Result<()> {
        let count = || -> Result<u64> { Ok(ledger::acknowledged(self.journal())?.values().sum()) };
        let before = count()?;
        until("readings flow", DRAINED, || async {
            Ok((count()? > before + 300).then_some(()))
        })
        .await
    }

    /// Ends; every reading that was acknowledged must have been counted once.
    pub(super) async fn end(self) -> Result<()> {
        let live = self.live().await?;
        self.simulation.stop(DRAINED).await?;
        let acknowledged = ledger::acknowledged(self.site.journal())?;
        until("every acknowledged reading is counted once", DRAINED, || async {
            ledger::compare(&acknowledged, &first_event(&live).await?)?;
            Ok(Some(()))
        })
        .await?;
        say(&format!(
            "    {} readings acknowledged and counted",
            acknowledged.values().sum::<u64>()
        ));
        Ok(())
    }
}

/// What the application's page shows now.
async fn first_event(address: &str) -> Result<Value> {
    let mut response = reqwest::get(address).await?.error_for_status()?;
    let mut text = String::new();
    while let Some(bytes) = tokio::time::timeout(Duration::from_secs(10), response.chunk()).await?? {
        text.push_str(&String::from_utf8_lossy(&bytes));
        let event = text.split("\n\n").find_map(|event| {
            let data = event.lines().find_map(|line| line.strip_prefix("data:"))?;
            serde_json::from_str(data.trim()).ok()
        });
        if let Some(event) = event {
            return Ok(event);
        }
    }
    anyhow::bail!("the page's stream ended: {text}")
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

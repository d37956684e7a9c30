//! A room on hosts whose application counts readings: what senders were told is compared with what it remembers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use simulator::Simulation;
use simulator::config::Servers;

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
        self.simulation.stop(DRAINED).await?;
        let acknowledged = ledger::acknowledged(self.site.journal())?;
        let address = format!("/api/v1/instances/{}/page", self.instance);
        let page = self.admin.get(&address).await?;
        let live = format!("{}live", page["url"].as_str().context("an address")?);
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

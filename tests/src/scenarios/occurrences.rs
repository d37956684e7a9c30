//! Occurrences that fall due while something is broken: each must become one instance that succeeds.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use common::Timestamp;
use serde_json::json;

use crate::client::Client;
use crate::site::{bundle, id};
use crate::wait::until;

const ENDED: Duration = Duration::from_secs(120);
const APPLICATION: &str = "daily-report";

/// Some schedules of one occurrence each.
pub(super) struct Occurrences {
    schedules: BTreeSet<String>,
}

impl Occurrences {
    /// Uploads what they run, unless it is there.
    pub(super) async fn prepare(admin: &Client) -> Result<()> {
        let address = format!("/api/v1/applications/{APPLICATION}");
        let known = admin.send(reqwest::Method::GET, &address, None).await?;
        if known.status.is_success() {
            return Ok(());
        }
        admin.upload(bundle(APPLICATION, APPLICATION)?).await.map(drop)
    }

    /// Plans so many, one every few seconds from now on.
    pub(super) async fn plan(admin: &Client, location: &str, count: i64, every: Duration) -> Result<Self> {
        Self::plan_of(admin, APPLICATION, json!({ "hours": 1 }), location, count, every).await
    }

    /// The same of another application that ends by itself.
    pub(super) async fn plan_of(
        admin: &Client,
        application: &str,
        parameters: serde_json::Value,
        location: &str,
        count: i64,
        every: Duration,
    ) -> Result<Self> {
        let (now, mut schedules) = (Timestamp::now(), BTreeSet::new());
        let every = i64::try_from(every.as_millis())?;
        for turn in 1..=count {
            let schedule = json!({
                "name": format!("Occurrence {turn}"), "application": application, "location": location, "parameters": parameters,
                "when": { "kind": "once", "at": now.plus_millis(turn * every) },
            });
            schedules.insert(id(&admin.post("/api/v1/schedules", &schedule).await?)?);
        }
        Ok(Self { schedules })
    }

    /// Waits until each has become one instance that succeeded, and removes the schedules.
    pub(super) async fn end(self, admin: &Client) -> Result<()> {
        until("every occurrence has run once", ENDED, || async {
            let instances = admin.list("/api/v1/instances").await?;
            let of = |schedule: &String| {
                let own = instances
                    .iter()
                    .filter(|instance| instance["schedule"] == schedule.as_str());
                own.map(|instance| instance["state"].as_str().unwrap_or_default().to_owned())
                    .collect::<Vec<_>>()
            };
            let states: Vec<Vec<String>> = self.schedules.iter().map(of).collect();
            ensure!(states.iter().all(|own| own == &["succeeded"]), "{states:?}");
            Ok(Some(()))
        })
        .await?;
        for schedule in &self.schedules {
            admin.delete(&format!("/api/v1/schedules/{schedule}")).await?;
        }
        Ok(())
    }
}

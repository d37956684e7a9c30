//! Running programs under the supervisor and waiting until each answers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use common::config::{Mode, SERVICES};

use crate::accounts::Passwords;
use crate::command::wait_until;
use crate::installation::Installation;
use crate::mongodb::Server;
use crate::{kafka, postgresql, probe, programs, release};

/// A program that ends this often while it is waited for will not become ready.
const ENDS: usize = 20;

/// A program that did not become ready.
#[derive(Debug, thiserror::Error)]
#[error("{name} {reason}")]
pub(crate) struct NotReady {
    /// Its name, which is also its log's.
    pub(crate) name: String,
    reason: &'static str,
}

/// Waits until nothing is left that does not answer; gives up early on a program that ends again and again.
async fn wait_for(
    on: &Installation,
    limit: Duration,
    mut first_silent: impl AsyncFnMut() -> Option<String>,
) -> Result<()> {
    let supervisor = on.supervisor();
    let before = supervisor.restarts();
    let mut failed = None;
    wait_until(limit, async || {
        let Some(name) = first_silent().await else {
            failed = None;
            return true;
        };
        let ends = |program: &str, counts: &BTreeMap<String, usize>| counts.get(program).copied().unwrap_or_default();
        let now = supervisor.restarts();
        let looping = now
            .keys()
            .find(|program| ends(program, &now) >= ends(program, &before) + ENDS);
        failed = Some(match looping {
            Some(program) => NotReady {
                name: program.clone(),
                reason: "ends right after it starts, again and again",
            },
            None => NotReady {
                name,
                reason: "did not become ready in time",
            },
        });
        looping.is_some()
    })
    .await;
    failed.map_or(Ok(()), |failed| Err(failed.into()))
}

pub(crate) async fn infrastructure_runs(on: &Installation) -> Result<bool> {
    let server = on.server().await;
    let supervisor = on.supervisor();
    if supervisor.pid().await.is_none() {
        return Ok(false);
    }
    let programs = Passwords::read(&on.layout)
        .and_then(|passwords| programs::infrastructure(&on.config, &on.layout, server, &passwords));
    let Ok(programs) = programs else {
        return Ok(false);
    };
    let accounts = on.config.kafka.mode == Mode::External || kafka::has_accounts(&on.config, &on.layout);
    Ok(accounts && supervisor.has("infrastructure", &programs).await && first_silent(on, server).await.is_none())
}

/// The first piece of managed infrastructure that does not answer.
async fn first_silent(on: &Installation, server: Server) -> Option<&'static str> {
    let config = &on.config;
    if config.mongodb.mode == Mode::Managed && !probe::mongodb(config.ports.mongodb).await {
        return Some(if server == Server::Mongod {
            "mongodb"
        } else {
            "ferretdb"
        });
    }
    if config.kafka.mode == Mode::Managed && !probe::kafka(config.ports.kafka).await {
        return Some("kafka");
    }
    (!probe::http(config.ports.registry, "/").await).then_some("registry")
}

pub(crate) async fn run_infrastructure(on: &Installation) -> Result<()> {
    let server = on.server().await;
    let supervisor = on.supervisor();
    supervisor.start().await?;
    let passwords = Passwords::read(&on.layout)?;
    let programs = programs::infrastructure(&on.config, &on.layout, server, &passwords)?;
    supervisor.apply("infrastructure", &programs).await?;
    if on.config.mongodb.mode == Mode::Managed && server == Server::Ferretdb {
        postgresql::create_database(&on.layout).await?;
    }
    wait_for(on, Duration::from_secs(90), async || {
        first_silent(on, server).await.map(str::to_owned)
    })
    .await?;
    if on.config.kafka.mode == Mode::Managed && !kafka::has_accounts(&on.config, &on.layout) {
        kafka::make_accounts(&on.config, &on.layout, &on.layout.log("up")).await?;
    }
    Ok(())
}

async fn service_programs(on: &Installation) -> Result<Vec<crate::supervisor::Program>> {
    let binaries = release::installed(&on.layout)?;
    Ok(programs::services(
        &on.config,
        &on.layout,
        &on.settings_text().await?,
        &Passwords::read(&on.layout)?,
        &binaries,
    ))
}

pub(crate) async fn services_run(on: &Installation) -> Result<bool> {
    let supervisor = on.supervisor();
    Ok(supervisor.pid().await.is_some()
        && supervisor.has("services", &service_programs(on).await?).await
        && first_unready(on).await.is_none())
}

/// The first service that is not ready.
async fn first_unready(on: &Installation) -> Option<String> {
    let ports = on.config.admin_ports();
    for name in SERVICES.into_iter().chain(["agent"]) {
        let port = ports.get(name).copied().unwrap_or_default();
        if !probe::http(port, "/health/ready").await {
            return Some(name.to_owned());
        }
    }
    None
}

pub(crate) async fn run_services(on: &Installation) -> Result<()> {
    on.supervisor().apply("services", &service_programs(on).await?).await?;
    wait_for(on, Duration::from_secs(120), async || first_unready(on).await).await
}

//! Running programs under the supervisor and waiting until each answers.

use std::time::Duration;

use anyhow::{Result, bail};
use common::config::{Mode, SERVICES};

use crate::command::wait_until;
use crate::installation::Installation;
use crate::mongodb::Server;
use crate::{postgresql, probe, programs, release};

/// A program that did not become ready, by name.
#[derive(Debug, thiserror::Error)]
#[error("{0} did not become ready in time")]
pub(crate) struct NotReady(pub(crate) String);

pub(crate) async fn infrastructure_runs(on: &Installation) -> Result<bool> {
    let server = on.server().await;
    let supervisor = on.supervisor();
    if supervisor.pid().await.is_none() {
        return Ok(false);
    }
    let Ok(programs) = programs::infrastructure(&on.config, &on.layout, server) else {
        return Ok(false);
    };
    Ok(supervisor.has("infrastructure", &programs) && first_silent(on, server).await.is_none())
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
    (!probe::http(config.ports.registry, "/v2/").await).then_some("registry")
}

pub(crate) async fn run_infrastructure(on: &Installation) -> Result<()> {
    let server = on.server().await;
    let supervisor = on.supervisor();
    supervisor.start().await?;
    let programs = programs::infrastructure(&on.config, &on.layout, server)?;
    supervisor.apply("infrastructure", &programs).await?;
    if on.config.mongodb.mode == Mode::Managed && server == Server::Ferretdb {
        postgresql::create_database(&on.layout).await?;
    }
    let mut silent = None;
    wait_until(Duration::from_secs(90), async || {
        silent = first_silent(on, server).await;
        silent.is_none()
    })
    .await;
    match silent {
        Some(name) => bail!(NotReady(name.to_owned())),
        None => Ok(()),
    }
}

async fn service_programs(on: &Installation) -> Result<Vec<crate::supervisor::Program>> {
    let binaries = release::installed(&on.layout)?;
    Ok(programs::services(
        &on.config,
        &on.layout,
        &on.settings_text().await?,
        &binaries,
    ))
}

pub(crate) async fn services_run(on: &Installation) -> Result<bool> {
    let supervisor = on.supervisor();
    Ok(supervisor.pid().await.is_some()
        && supervisor.has("services", &service_programs(on).await?)
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
    let mut unready = None;
    wait_until(Duration::from_secs(120), async || {
        unready = first_unready(on).await;
        unready.is_none()
    })
    .await;
    match unready {
        Some(name) => bail!(NotReady(name)),
        None => Ok(()),
    }
}

//! The command line of the simulator.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::{Config, Simulation};

/// Simulates the sensors and devices that a file describes.
#[derive(Debug, clap::Parser)]
#[command(version, about)]
pub struct Arguments {
    /// What to simulate (JSON).
    #[arg(long, short)]
    pub config: PathBuf,
    /// Where to write what was acknowledged: one JSON object a line, appended.
    #[arg(long, short)]
    pub journal: Option<PathBuf>,
    /// Stop after that many seconds; without it, when every sensor has sent its `count`, or on a signal.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// How long to wait at the end for what is not yet acknowledged.
    #[arg(long, default_value_t = 10)]
    pub drain_seconds: u64,
}

/// Runs the simulation to its end.
///
/// # Errors
/// When the configuration is wrong, or when something was still unacknowledged at the end.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_ansi(std::io::stdout().is_terminal())
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let config = Config::load(&arguments.config)?;
    let simulation = Simulation::start(config, arguments.journal.as_deref()).await?;
    wait_for_end(&simulation, arguments.seconds.map(Duration::from_secs)).await?;
    let stats = simulation.stop(Duration::from_secs(arguments.drain_seconds)).await?;
    info!(%stats, "stopped");
    if stats.in_flight > 0 {
        warn!(in_flight = stats.in_flight, "not acknowledged in time");
        anyhow::bail!(
            "{} readings were not acknowledged within {} s",
            stats.in_flight,
            arguments.drain_seconds
        );
    }
    Ok(())
}

async fn wait_for_end(simulation: &Simulation, limit: Option<Duration>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut report = tokio::time::interval(Duration::from_secs(10));
    let end = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let finished = simulation.finished();
    tokio::pin!(finished);
    loop {
        tokio::select! {
            () = &mut finished => return Ok(()),
            () = &mut end => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = report.tick() => info!(stats = %simulation.stats(), "running"),
        }
    }
}

//! From the command line to an orderly end: what every service does the same way.

mod context;

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use common::messages::health::ServiceCopy;
use common::names::ServiceName;
use common::settings::Settings;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::health::{Health, Part};
use crate::kafka::{KafkaConfig, KafkaPublisher};
use crate::mongo::Mongo;
use crate::{admin, dependencies, heartbeat, kafka, stall, telemetry};

pub use context::Context;
use context::Tasks;

/// The supervisor starts a program again at once. One that has ended by an error of its own waits this long first, so that an
/// error that stays costs a start a second and not all of the machine; whatever is killed is back at once.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);
/// Time that tasks get to finish after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a service: `--settings FILE` on the command line, the assembly function does the rest.
pub fn main<F, A>(service: ServiceName, assemble: F) -> ExitCode
where
    F: FnOnce(Context) -> A,
    A: Future<Output = anyhow::Result<()>>,
{
    telemetry::logs();
    let outcome = settings_from_arguments().and_then(|settings| {
        let threads = std::thread::available_parallelism()
            .map_or(2, std::num::NonZero::get)
            .clamp(2, 4);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?;
        let outcome = runtime.block_on(run(service, settings, assemble));
        // Blocking threads of librdkafka may still be closing; they must not hold up the end.
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%service, "ended: {error:#}");
            #[expect(
                clippy::disallowed_methods,
                reason = "nothing else runs any more, and no condition is waited for"
            )]
            std::thread::sleep(PAUSE_AFTER_ERROR);
            ExitCode::FAILURE
        }
    }
}

fn settings_from_arguments() -> anyhow::Result<Settings> {
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--settings" {
            let path = PathBuf::from(arguments.next().context("--settings needs a file")?);
            return Ok(Settings::load(&path)?);
        }
    }
    anyhow::bail!("usage: --settings FILE (`bootstrap up` writes it as <data_dir>/etc/settings.json)")
}

async fn run<F, A>(service: ServiceName, settings: Settings, assemble: F) -> anyhow::Result<()>
where
    F: FnOnce(Context) -> A,
    A: Future<Output = anyhow::Result<()>>,
{
    stall::guard()?;
    let metrics = telemetry::metrics()?;
    let port = *settings
        .ports
        .admin
        .get(service.as_str())
        .with_context(|| format!("no admin port for {service}"))?;
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .with_context(|| format!("could not listen on admin port {port}"))?;
    // Alive and answering about its health. Whether it is *ready* depends on others, and must not have it restarted.
    stall::tell_supervisor(sd_notify::NotifyState::Ready);
    let kafka = KafkaConfig::from_settings(&settings, service.as_str())?;
    let publisher = Arc::new(KafkaPublisher::new(kafka.clone())?);
    let context = Context {
        service,
        bus: Bus::new(publisher.clone(), service.as_str()),
        mongo: Mongo::connect(&settings, service.as_str()).await?,
        health: Health::default(),
        shutdown: CancellationToken::new(),
        process: uuid::Uuid::now_v7().to_string(),
        settings: Arc::new(settings),
        kafka,
        publisher,
        cluster: Arc::new(OnceLock::new()),
        tasks: Tasks::default(),
    };
    let copy = ServiceCopy {
        service,
        host: context.settings.host.clone(),
    };
    // Parts come one after the other; until all are there the process must not look ready.
    let assembly = context.health.part("assembly");
    context.spawn_until_shutdown("admin port", admin::serve(listener, context.health.clone(), metrics));
    context.spawn_until_shutdown("dependencies", dependencies::watch(context.clone()));
    context.spawn_until_shutdown(
        "kafka clients",
        dependencies::clients_find_back(context.kafka.clone(), context.publisher.clone()),
    );
    context.spawn_until_shutdown(
        "heartbeats",
        heartbeat::beat(
            context.bus.clone(),
            copy.clone(),
            context.health.clone(),
            context.kafka.clone(),
        ),
    );
    tracing::info!(%service, host = copy.host, version = env!("CARGO_PKG_VERSION"), "started");
    let outcome = tokio::select! {
        outcome = live(&context, assemble, assembly) => outcome,
        () = terminated() => Ok(()),
    };
    context.shutdown.cancel();
    finish(&context).await;
    // One that fails, and fails again when it is started again, shall be missed.
    if outcome.is_ok() {
        heartbeat::farewell(&context.bus, copy).await;
    }
    let publisher = context.publisher.clone();
    tokio::task::spawn_blocking(move || publisher.flush(GRACE)).await?;
    tracing::info!(%service, "ended");
    outcome
}

/// Waits for Kafka, assembles, and then lives until a task ends.
async fn live<F, A>(context: &Context, assemble: F, assembly: Part) -> anyhow::Result<()>
where
    F: FnOnce(Context) -> A,
    A: Future<Output = anyhow::Result<()>>,
{
    let topics = kafka::TopicMaker::new(&context.kafka)?;
    while let Err(error) = topics.ensure(&context.kafka).await {
        tracing::warn!(error = format!("{error:#}"), "waiting for kafka");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // Every Kafka since 0.10.1 tells; not to know it would be to take positions of another one for its own.
    let cluster = loop {
        if let Some(cluster) = topics.cluster().await {
            break cluster;
        }
        tracing::warn!("waiting for kafka to say which one it is");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    context.cluster.get_or_init(|| cluster);
    drop(topics);
    assemble(context.clone()).await.context("could not start")?;
    assembly.ready();
    loop {
        let ended = std::future::poll_fn(|task| {
            context
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .poll_join_next(task)
        });
        // Tasks that are added later wake nobody who waits here, so look again now and then.
        match tokio::time::timeout(Duration::from_millis(500), ended).await {
            Ok(Some(Ok((name, Ok(()))))) => anyhow::bail!("task `{name}` ended"),
            Ok(Some(Ok((name, Err(error))))) => return Err(error.context(format!("task `{name}` failed"))),
            Ok(Some(Err(error))) => anyhow::bail!("a task panicked: {error}"),
            Ok(None) | Err(_) => {}
        }
    }
}

/// Gives the tasks time to end by themselves.
async fn finish(context: &Context) {
    let deadline = tokio::time::Instant::now() + GRACE;
    loop {
        let ended = std::future::poll_fn(|task| {
            context
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .poll_join_next(task)
        });
        tokio::select! {
            ended = ended => if ended.is_none() { return },
            () = tokio::time::sleep_until(deadline.min(tokio::time::Instant::now() + Duration::from_secs(2))) => return,
        }
    }
}

async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "a signal can not be caught");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::interrupt()) => {}
    }
}

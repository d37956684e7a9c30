//! From the command line to an orderly end: what every service does the same way.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use common::messages::health::ServiceCopy;
use common::names::ServiceName;
use common::settings::Settings;
use common::{Message, Topic};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bus::{BatchHandler, Bus, BusError, Handler, TailFrom};
use crate::duty::{Duty, Holder, Keeper};
use crate::health::{Health, Part};
use crate::kafka::{BatchLimits, ConsumerStatus, KafkaConfig, KafkaPublisher, Tail};
use crate::mongo::Mongo;
use crate::store::{Entities, Entity};
use crate::{admin, dependencies, heartbeat, kafka, stall, telemetry};

/// The supervisor starts a program again at once. One that has ended by an error of its own waits this long first, so that an
/// error that stays costs a start a second and not all of the machine; whatever is killed is back at once.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);
/// Time that tasks get to finish after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

type Tasks = Arc<Mutex<JoinSet<(String, anyhow::Result<()>)>>>;

/// What a service has at hand.
#[derive(Clone)]
pub struct Context {
    /// Which service this is.
    pub service: ServiceName,
    /// The installation's settings.
    pub settings: Arc<Settings>,
    /// Publishes.
    pub bus: Bus,
    /// The store.
    pub mongo: Mongo,
    /// Parts that are ready or wait.
    pub health: Health,
    /// Cancelled when the service is to end.
    pub shutdown: CancellationToken,
    /// Which start of the service this is.
    pub process: String,
    pub(crate) kafka: Arc<KafkaConfig>,
    pub(crate) publisher: Arc<KafkaPublisher>,
    tasks: Tasks,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// Runs a task for as long as the service lives: when it ends early, for whatever reason, the process ends non-zero.
    pub fn spawn<F>(&self, name: &str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let name = name.to_owned();
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .spawn(async move { (name, task.await) });
    }

    /// As [`Context::spawn`], for a task that may be dropped at any point when the service ends.
    pub fn spawn_until_shutdown<F>(&self, name: &str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let shutdown = self.shutdown.clone();
        self.spawn(name, async move {
            tokio::select! {
                () = shutdown.cancelled() => Ok(()),
                outcome = task => outcome,
            }
        });
    }

    /// Handles the messages of a topic in this service's consumer group.
    pub fn consume<M: Message, H: Handler<M>>(&self, handler: Arc<H>) {
        let status = self.consumer_status::<M>();
        let task = kafka::consume::<M, H>(
            self.kafka.clone(),
            self.publisher.clone(),
            status,
            handler,
            self.shutdown.clone(),
        );
        self.spawn(&format!("consumer of {}", M::TOPIC.name()), task);
    }

    /// Handles the messages of a topic in batches in this service's consumer group.
    pub fn consume_batches<M: Message, H: BatchHandler<M>>(&self, handler: Arc<H>, limits: BatchLimits) {
        let status = self.consumer_status::<M>();
        let task = kafka::consume_batches::<M, H>(
            self.kafka.clone(),
            self.publisher.clone(),
            status,
            handler,
            limits,
            self.shutdown.clone(),
        );
        self.spawn(&format!("consumer of {}", M::TOPIC.name()), task);
    }

    /// Reads a topic without a group. Waits, without end, until Kafka answers.
    ///
    /// # Errors
    /// When the service is shut down first.
    pub async fn tail<M: Message>(&self, from: TailFrom) -> anyhow::Result<Tail<M>> {
        loop {
            match kafka::tail(self.kafka.clone(), from.clone()).await {
                Ok(tail) => return Ok(tail),
                Err(error) => self.wait_after(&error).await?,
            }
        }
    }

    /// Looks at Kafka's brokers.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn brokers(&self) -> anyhow::Result<kafka::Brokers> {
        let kafka = self.kafka.clone();
        Ok(tokio::task::spawn_blocking(move || kafka.brokers()).await??)
    }

    /// Returns the offset after the newest record of each partition.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn end_offsets(&self, topic: Topic) -> Result<std::collections::BTreeMap<i32, i64>, BusError> {
        kafka::end_offsets(self.kafka.clone(), topic).await
    }

    /// Returns the offset of the first record of that time or later, by partition; the end where there is none.
    ///
    /// # Errors
    /// When Kafka does not answer.
    pub async fn offsets_for_time(
        &self,
        topic: Topic,
        time: common::Timestamp,
    ) -> Result<std::collections::BTreeMap<i32, i64>, BusError> {
        kafka::offsets_for_time(self.kafka.clone(), topic, time).await
    }

    /// Returns the entities of one kind, with a sweep of their outboxes. Makes their indexes when MongoDB answers.
    #[must_use]
    pub fn entities<T: Entity>(&self) -> Entities<T> {
        let entities = Entities::<T>::new(self.mongo.documents(), self.bus.clone());
        let sweeping = entities.clone();
        let shutdown = self.shutdown.clone();
        self.spawn(&format!("sweep of {}", T::COLLECTION), async move {
            let mut indexed = false;
            let mut interval = tokio::time::interval(Duration::from_secs(2));
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    _ = interval.tick() => {}
                }
                if !indexed {
                    indexed = sweeping.ensure().await.is_ok();
                }
                if let Err(error) = sweeping.sweep().await {
                    tracing::debug!(collection = T::COLLECTION, %error, "the sweep waits");
                }
            }
        });
        entities
    }

    /// What lets applications in: nothing else to ask where there is one gateway; where there are others, only while Kafka and MongoDB answer
    /// this process, because another may have what this one lacks.
    #[must_use]
    pub fn can_serve(&self, gateways: usize) -> Option<crate::http::Open> {
        let health = self.health.clone();
        (gateways > 1).then(|| Arc::new(move || health.is_ready(&["kafka", "mongodb"])) as crate::http::Open)
    }

    /// Returns a duty that one copy of this service has at a time; this process keeps it, or waits for it, from now on.
    #[must_use]
    pub fn duty(&self, name: &str) -> Duty {
        let me = Holder {
            host: self.settings.host.clone(),
            process: self.process.clone(),
        };
        let keeper = Keeper::new(self.mongo.documents(), duties(self.service), name, me);
        let duty = keeper.duty();
        self.spawn(&format!("duty of {name}"), keeper.run(self.shutdown.clone()));
        duty
    }

    fn consumer_status<M: Message>(&self) -> Arc<ConsumerStatus> {
        let status = Arc::new(ConsumerStatus::default());
        let part = self.health.part(&format!("consumer of {}", M::TOPIC.name()));
        let watched = status.clone();
        let shutdown = self.shutdown.clone();
        self.spawn("consumer status", async move {
            loop {
                if watched.assigned() {
                    part.ready();
                } else {
                    part.waits_for("its partitions");
                }
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                }
            }
        });
        status
    }

    async fn wait_after(&self, error: &BusError) -> anyhow::Result<()> {
        tracing::debug!(%error, "waiting for kafka");
        tokio::select! {
            () = self.shutdown.cancelled() => anyhow::bail!("shut down while waiting for kafka"),
            () = tokio::time::sleep(Duration::from_millis(300)) => Ok(()),
        }
    }
}

/// Where the duties of a service lie.
fn duties(service: ServiceName) -> &'static str {
    match service {
        ServiceName::ApplicationManager => "application_manager_duties",
        ServiceName::Scheduler => "scheduler_duties",
        ServiceName::Deployer => "deployer_duties",
        ServiceName::SensorManager => "sensor_manager_duties",
        ServiceName::ActionManager => "action_manager_duties",
        ServiceName::Monitor => "monitor_duties",
        ServiceName::Agent => "deployer_agent_duties",
    }
}

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
    context.spawn_until_shutdown("kafka clients", dependencies::clients_find_back(context.kafka.clone()));
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
    heartbeat::farewell(&context.bus, copy).await;
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
    while let Err(error) = kafka::ensure_topics(&context.kafka).await {
        tracing::warn!(error = format!("{error:#}"), "waiting for kafka");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
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

//! What a service has at hand.

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use common::names::ServiceName;
use common::settings::Settings;
use common::{Message, Topic};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bus::{BatchHandler, Bus, BusError, Handler, TailFrom};
use crate::duty::{Duty, Holder, Keeper};
use crate::health::Health;
use crate::kafka::{self, BatchLimits, ConsumerStatus, KafkaConfig, KafkaPublisher, Tail};
use crate::mongo::Mongo;
use crate::store::{Entities, Entity, SettleError};

pub(super) type Tasks = Arc<Mutex<JoinSet<(String, anyhow::Result<()>)>>>;

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
    /// Which Kafka this is, once it answers and tells.
    pub(super) cluster: Arc<OnceLock<String>>,
    pub(super) tasks: Tasks,
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
        let publisher = self.publisher.clone();
        let asked = tokio::task::spawn_blocking(move || publisher.brokers(Duration::from_secs(3)));
        Ok(asked.await??)
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
        let (context, sweeping) = (self.clone(), entities.clone());
        let shutdown = self.shutdown.clone();
        self.spawn(&format!("sweep of {}", T::COLLECTION), async move {
            let (mut indexed, mut settled) = (false, false);
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
                if !settled {
                    settled = context.settle(&sweeping).await.is_ok();
                }
                if let Err(error) = sweeping.sweep().await {
                    tracing::debug!(collection = T::COLLECTION, %error, "the sweep waits");
                }
            }
        });
        entities
    }

    /// As [`Context::entities`], for those that hold positions in topics: nobody works with them before they are settled beside the Kafka that is
    /// there. Waits, without end, until MongoDB answers.
    ///
    /// # Errors
    /// When the service is shut down first.
    pub async fn settled<T: Entity>(&self) -> anyhow::Result<Entities<T>> {
        let entities = self.entities::<T>();
        while self.settle(&entities).await.is_err() {
            tokio::select! {
                () = self.shutdown.cancelled() => anyhow::bail!("shut down while waiting for mongodb"),
                () = tokio::time::sleep(Duration::from_millis(300)) => {}
            }
        }
        Ok(entities)
    }

    /// Settles entities beside the Kafka that is there: beside another than before, everything is told once more.
    ///
    /// # Errors
    /// When MongoDB or Kafka does not answer; every sweep tries it again.
    pub async fn settle<T: Entity>(&self, entities: &Entities<T>) -> Result<(), SettleError> {
        let Some(kafka) = self.cluster.get() else {
            return Ok(());
        };
        match entities
            .settle(duties(self.service), kafka, self.settings.restored)
            .await
        {
            Ok(0) => Ok(()),
            Ok(documents) => {
                tracing::warn!(
                    collection = T::COLLECTION,
                    documents,
                    "kafka is another one than before: what is was told once more"
                );
                Ok(())
            }
            Err(error) => {
                tracing::debug!(collection = T::COLLECTION, %error, "settling waits");
                Err(error)
            }
        }
    }

    /// What lets applications in: on many hosts only while this process has what a gateway needs, because another may have it. On one machine
    /// there is no other.
    #[must_use]
    pub fn can_serve(&self, needed: &'static [&'static str]) -> Option<crate::http::Open> {
        let health = self.health.clone();
        let many = self.settings.certificate.is_some();
        many.then(|| Arc::new(move || health.is_ready(needed)) as crate::http::Open)
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

//! Kafka: the only module that imports `rdkafka`.

mod access;
mod consumer;
mod producer;
mod reader;
mod tail;
mod topics;
mod vitals;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::rights::ADMIN_ACCOUNT;
use common::settings::{Settings, SettingsError};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

pub use consumer::{BatchLimits, ConsumerStatus, consume, consume_batches};
pub use producer::KafkaPublisher;
pub(crate) use producer::Silence;
pub use tail::{Tail, end_offsets, offsets_for_time, tail};
pub use topics::TopicMaker;

use access::Access;
use vitals::Vitals;

/// Tells of an error of a client. That no broker answers is said once by the part `kafka` of the service's health, not by each
/// client twice a second.
fn tell(client: &str, error: &KafkaError, reason: &str) {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, PartitionEOF, Resolve};
    let passing = [
        AllBrokersDown,
        BrokerTransportFailure,
        OperationTimedOut,
        PartitionEOF,
        Resolve,
    ];
    if error.rdkafka_error_code().is_some_and(|code| passing.contains(&code)) {
        tracing::debug!(client, %error, reason, "kafka reports a passing error");
    } else {
        tracing::warn!(client, %error, reason, "kafka reports an error");
    }
}

/// Where Kafka is and how this installation names things there.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// Prefix of topics and groups: the installation's name.
    pub name: String,
    /// Copies of each partition for topics that are created.
    pub replication: i32,
    /// The service, part of group names.
    pub service: String,
    /// The host: with the service it names the static member of a group.
    pub host: String,
    /// How clients sign in.
    access: Access,
    /// How the clients are that were made with it.
    vitals: Arc<Vitals>,
}

/// How the brokers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brokers {
    /// Brokers that the cluster has now.
    pub answering: usize,
    /// Partitions that nobody can write to.
    pub without_leader: usize,
    /// Partitions with fewer copies than there should be.
    pub lacking_copies: usize,
}

impl KafkaConfig {
    /// Takes what a service needs from the settings.
    ///
    /// # Errors
    /// When the service's password cannot be read.
    pub fn from_settings(settings: &Settings, service: &str) -> Result<Arc<Self>, SettingsError> {
        Self::signed_in(settings, service, service)
    }

    /// As [`Self::from_settings`], for a client that may do everything: tests and tools of the host.
    ///
    /// # Errors
    /// When the admin's password cannot be read.
    pub fn of_admin(settings: &Settings, client: &str) -> Result<Arc<Self>, SettingsError> {
        Self::signed_in(settings, client, ADMIN_ACCOUNT)
    }

    fn signed_in(settings: &Settings, service: &str, account: &str) -> Result<Arc<Self>, SettingsError> {
        Ok(Arc::new(Self {
            brokers: settings.kafka.brokers.clone(),
            name: settings.name.clone(),
            replication: settings.kafka.replication,
            service: service.to_owned(),
            host: settings.host.clone(),
            access: Access::of(settings, account)?,
            vitals: Arc::default(),
        }))
    }

    /// Returns a client that has been lost for so long since `from`, and what is wrong with it.
    #[must_use]
    pub fn lost_client(&self, long: Duration, from: Instant) -> Option<String> {
        self.vitals.lost(long, from, Instant::now())
    }

    /// Messages of this process's consumer groups that are still to be handled.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.vitals.lag()
    }

    /// Whether a client has something to complain of.
    #[must_use]
    pub fn has_doubts(&self) -> bool {
        self.vitals.doubtful()
    }

    /// Whether Kafka answers a client that is new, and every partition of the heartbeats has a leader. Blocks.
    #[must_use]
    pub fn answers_a_new_client(&self) -> bool {
        let topic = self.topic(common::Topic::ServiceHeartbeats.name());
        let asked = self
            .client("probe")
            .create::<BaseConsumer>()
            .and_then(|probe| probe.fetch_metadata(Some(&topic), Duration::from_secs(3)));
        asked.is_ok_and(|metadata| {
            let leaders = metadata
                .topics()
                .iter()
                .flat_map(|topic| topic.partitions())
                .map(|partition| partition.leader());
            !metadata.brokers().is_empty() && leaders.min().is_some_and(|leader| leader >= 0)
        })
    }

    /// Returns the name on the broker.
    #[must_use]
    pub fn topic(&self, topic: &str) -> String {
        format!("{}.{topic}", self.name)
    }

    /// Returns the name of the dead-letter topic on the broker.
    #[must_use]
    pub fn dead_topic(&self, topic: &str) -> String {
        format!("{}.{topic}.dead", self.name)
    }

    /// How long a member of a group may be silent until its partitions go to others.
    ///
    /// One broker: longer than it takes to come back from a crash, because a member that gave up meanwhile is fenced by its former self. A process
    /// that comes back does not wait for it, it takes its own place again. Of several brokers one is always there.
    fn session_timeout_ms(&self) -> &'static str {
        if self.has_several_brokers() { "10000" } else { "20000" }
    }

    /// Longest wait between two tries to connect.
    ///
    /// One broker: all wait for it, and shall not wait long. Of several, each has hundreds of clients: hosts that are short of CPU would be kept so
    /// by handshakes that come again twice a second, while another broker does the work anyway.
    fn longest_backoff_ms(&self) -> &'static str {
        if self.has_several_brokers() { "5000" } else { "500" }
    }

    /// How long a client tries to connect to one broker, with its handshakes.
    ///
    /// Of several brokers one may be on a host that has lost its network: a process that begins then shall soon ask another.
    fn longest_handshake_ms(&self) -> &'static str {
        if self.has_several_brokers() { "5000" } else { "30000" }
    }

    /// How long a request may go unanswered until its connection is given up.
    ///
    /// A broker that is cut off does not say so. Of several, the others have its work after some seconds: whoever goes on waiting for its answer, to
    /// a request for metadata above all, learns of that too late.
    fn longest_answer_ms(&self) -> &'static str {
        if self.has_several_brokers() { "10000" } else { "60000" }
    }

    /// Whether Kafka goes on when one broker is away.
    #[must_use]
    pub fn has_several_brokers(&self) -> bool {
        self.replication >= 3
    }

    fn client(&self, role: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set(
                "client.id",
                format!("{}.{}.{role}@{}", self.name, self.service, self.host),
            )
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", self.longest_backoff_ms())
            .set("socket.connection.setup.timeout.ms", self.longest_handshake_ms())
            .set("socket.timeout.ms", self.longest_answer_ms())
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("log_level", "4");
        self.access.apply(&mut config);
        config
    }

    fn reader(&self, role: &str) -> ClientConfig {
        let mut config = self.client(role);
        config
            .set("statistics.interval.ms", vitals::INTERVAL_MS)
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            // Nothing here is transactional, so the high watermark is the end.
            .set("isolation.level", "read_uncommitted")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "100")
            .set("fetch.queue.backoff.ms", "50")
            .set("fetch.max.bytes", "8388608")
            .set("queued.max.messages.kbytes", "4096")
            .set("queued.min.messages", "1000")
            .set("allow.auto.create.topics", "false");
        config
    }
}

//! Creating the topics.

use std::sync::Arc;
use std::time::Duration;

use common::Topic;
use common::topic::Retention;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;

use super::KafkaConfig;

/// How long Kafka may take to say which one it is.
const ASKED: Duration = Duration::from_secs(5);

/// Makes topics.
pub struct TopicMaker {
    admin: Arc<AdminClient<DefaultClientContext>>,
}

impl std::fmt::Debug for TopicMaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicMaker").finish_non_exhaustive()
    }
}

impl TopicMaker {
    /// One client for all tries.
    ///
    /// # Errors
    /// When librdkafka does not take the configuration.
    pub fn new(config: &KafkaConfig) -> anyhow::Result<Self> {
        let admin = config.client("admin").create()?;
        Ok(Self { admin: Arc::new(admin) })
    }

    /// Returns the id of the cluster: another one where Kafka was made anew. None where Kafka tells none.
    pub async fn cluster(&self) -> Option<String> {
        let admin = self.admin.clone();
        let asked = tokio::task::spawn_blocking(move || admin.inner().fetch_cluster_id(ASKED));
        asked.await.ok().flatten()
    }

    /// Creates every topic that does not exist yet; each service does, so that none has to come first.
    ///
    /// # Errors
    /// When Kafka does not answer or refuses.
    pub async fn ensure(&self, config: &KafkaConfig) -> anyhow::Result<()> {
        ensure(&self.admin, config).await
    }
}

async fn ensure(admin: &AdminClient<DefaultClientContext>, config: &KafkaConfig) -> anyhow::Result<()> {
    let mut wanted = Vec::new();
    for topic in Topic::ALL {
        let facts = topic.facts();
        wanted.push((config.topic(facts.name), facts.partitions, facts.retention));
        if !facts.groups.is_empty() {
            wanted.push((config.dead_topic(facts.name), 1, Retention::Hours(24 * 30)));
        }
    }
    let retention: Vec<String> = wanted
        .iter()
        .map(|(_, _, retention)| match retention {
            Retention::Compacted => String::new(),
            Retention::Hours(hours) => (u64::from(*hours) * 3_600_000).to_string(),
        })
        .collect();
    let topics: Vec<NewTopic<'_>> = wanted
        .iter()
        .zip(&retention)
        .map(|((name, partitions, _), retention)| {
            let topic = NewTopic::new(name, *partitions, TopicReplication::Fixed(config.replication));
            if retention.is_empty() {
                topic
                    .set("cleanup.policy", "compact")
                    .set("min.cleanable.dirty.ratio", "0.3")
                    .set("segment.ms", "3600000")
            } else {
                topic.set("retention.ms", retention)
            }
        })
        .collect();
    for result in admin.create_topics(&topics, &AdminOptions::new()).await? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => anyhow::bail!("could not create topic {name}: {code}"),
        }
    }
    Ok(())
}

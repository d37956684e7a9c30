//! What a service depends on: whether Kafka and MongoDB answer, and whether its own clients still hear them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::kafka::KafkaConfig;
use crate::service::Context;

/// A Kafka client that has been lost for so long, while others get answers, does not find back by itself.
const LOST: Duration = Duration::from_secs(15);
/// Kafka was away when it did not answer for so long: no broker comes back sooner, and a busy machine answers within it.
const OUTAGE: Duration = Duration::from_secs(3);

/// Keeps the parts `kafka` and `mongodb` true.
pub(crate) async fn watch(context: Context) -> anyhow::Result<()> {
    let (kafka, mongodb) = (context.health.part("kafka"), context.health.part("mongodb"));
    let mut away: [Option<Instant>; 2] = [None; 2];
    // Before Kafka has answered once there is nothing to lose.
    let (mut met, mut outage) = (false, false);
    loop {
        let kafka_config = context.kafka.clone();
        if outage && tokio::task::spawn_blocking(move || kafka_config.answers_a_new_client()).await? {
            // librdkafka loses partitions in an outage that neither find back nor complain; clients that are new have none.
            anyhow::bail!("kafka was away: this process begins anew, with new clients");
        }
        let publisher = context.publisher.clone();
        let ping = tokio::task::spawn_blocking(move || publisher.ping(Duration::from_secs(2)));
        let pings = [
            ("kafka", &kafka, ping.await?.err().map(|error| error.to_string())),
            (
                "mongodb",
                &mongodb,
                context.mongo.ping().await.err().map(|error| error.to_string()),
            ),
        ];
        for ((name, part, error), away) in pings.into_iter().zip(&mut away) {
            match error {
                None => part.ready(),
                Some(error) => {
                    part.waits_for(&error);
                    if away.is_none() {
                        tracing::warn!(error, "{name} does not answer");
                    }
                    away.get_or_insert_with(Instant::now);
                    continue;
                }
            }
            let was = away.take().map(|since| since.elapsed());
            if was.is_some() {
                tracing::info!("{name} answers again");
            }
            if name == "kafka" {
                outage |= met && was.is_some_and(|long| long >= OUTAGE);
                met = true;
            }
        }
        let pause = if context.health.waiting_for().is_empty() {
            2000
        } else {
            200
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Ends with an error, and the process with it, when a Kafka client stays lost: a new process has new clients.
pub(crate) async fn clients_find_back(kafka: Arc<KafkaConfig>) -> anyhow::Result<()> {
    // Since when Kafka answers; an outage does not count.
    let mut answers: Option<Instant> = None;
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let asked = kafka.clone();
        let answered = tokio::task::spawn_blocking(move || asked.has_doubts() && asked.answers_a_new_client()).await?;
        if !answered {
            answers = None;
            continue;
        }
        let from = *answers.get_or_insert_with(Instant::now);
        if let Some(lost) = kafka.lost_client(LOST, from) {
            anyhow::bail!("a kafka client is lost and does not find back: {lost}");
        }
    }
}

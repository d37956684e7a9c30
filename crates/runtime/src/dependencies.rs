//! What a service depends on: whether Kafka and MongoDB answer, and whether its own clients still hear them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::kafka::{KafkaConfig, KafkaPublisher};
use crate::service::Context;

/// A Kafka client that has been lost for so long, while others get answers, does not find back by itself.
const LOST: Duration = Duration::from_secs(15);
/// Kafka was away when it did not answer for so long: no broker comes back sooner, and a busy machine answers within it.
const OUTAGE: Duration = Duration::from_secs(3);
/// The same with several brokers, which are hardly ever away all at once: that nobody answers means that the hosts are short of CPU, and processes
/// that all begin anew would keep them so.
const OUTAGE_OF_ALL: Duration = Duration::from_secs(20);

/// What is known of whether something answers.
#[derive(Debug)]
struct Presence {
    /// Whether it has answered at all.
    met: bool,
    /// Since when it does not.
    away: Option<Instant>,
    /// How long it must be away for an outage.
    outage: Duration,
}

/// What an answer, or none, changes.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// Nothing.
    Same,
    /// It does not answer any more.
    Away,
    /// It answers again.
    Back {
        /// Whether it was away for so long that clients may have lost it. Before it was met there is nothing to lose.
        outage: bool,
    },
}

impl Presence {
    fn new(outage: Duration) -> Self {
        Self {
            met: false,
            away: None,
            outage,
        }
    }

    fn take(&mut self, answers: bool, now: Instant) -> Turn {
        match (answers, self.away) {
            (false, Some(_)) => Turn::Same,
            (false, None) => {
                self.away = Some(now);
                Turn::Away
            }
            (true, since) => {
                let met = std::mem::replace(&mut self.met, true);
                self.away = None;
                since.map_or(Turn::Same, |since| Turn::Back {
                    outage: met && now.saturating_duration_since(since) >= self.outage,
                })
            }
        }
    }
}

/// Keeps the parts `kafka` and `mongodb` true, and ends with an error when Kafka is back from an outage.
pub(crate) async fn watch(context: Context) -> anyhow::Result<()> {
    let (kafka, mongodb) = (context.health.part("kafka"), context.health.part("mongodb"));
    let outage_of_kafka = if context.kafka.has_several_brokers() {
        OUTAGE_OF_ALL
    } else {
        OUTAGE
    };
    let mut presences = [outage_of_kafka, OUTAGE].map(Presence::new);
    let mut outage = false;
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
        for ((name, part, error), presence) in pings.into_iter().zip(&mut presences) {
            match presence.take(error.is_none(), Instant::now()) {
                Turn::Same => {}
                Turn::Away => tracing::warn!(error, "{name} does not answer"),
                Turn::Back { outage: lasted } => {
                    tracing::info!("{name} answers again");
                    outage |= lasted && name == "kafka";
                }
            }
            match error {
                None => part.ready(),
                Some(error) => part.waits_for(&error),
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

/// Ends with an error, and the process with it, when a Kafka client stays lost or can not go on: a new process has new clients.
pub(crate) async fn clients_find_back(kafka: Arc<KafkaConfig>, publisher: Arc<KafkaPublisher>) -> anyhow::Result<()> {
    // Since when Kafka answers; an outage does not count.
    let mut answers: Option<Instant> = None;
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        if let Some(reason) = publisher.fatal() {
            anyhow::bail!("the kafka producer can not go on: {reason}");
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_there_and_stays_away_for_long_is_back_from_an_outage() {
        let start = Instant::now();
        let back = |outage| Turn::Back { outage };
        let cases = [
            // A start before it.
            (vec![(false, 0), (true, 60)], vec![Turn::Away, back(false)]),
            // A slow answer.
            (
                vec![(true, 0), (false, 2), (true, 4)],
                vec![Turn::Same, Turn::Away, back(false)],
            ),
            // An outage, and after it everything is as before.
            (
                vec![(true, 0), (false, 2), (false, 4), (true, 5), (true, 7)],
                vec![Turn::Same, Turn::Away, Turn::Same, back(true), Turn::Same],
            ),
        ];
        for (seen, expected) in cases {
            let mut presence = Presence::new(OUTAGE);
            let turns: Vec<Turn> = seen
                .iter()
                .map(|(answers, second)| presence.take(*answers, start + Duration::from_secs(*second)))
                .collect();
            assert_eq!(turns, expected, "{seen:?}");
        }
    }
}

//! What a service depends on: whether Kafka and MongoDB answer, and whether its own clients still hear them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::kafka::{KafkaConfig, KafkaPublisher, Silence};
use crate::service::Context;

/// A Kafka client that has been lost for so long, while others get answers, does not find back by itself.
const LOST: Duration = Duration::from_secs(15);
/// Kafka was away when nobody was there for so long: no broker comes back sooner.
const OUTAGE: Duration = Duration::from_secs(3);
/// The same where it is there and does not answer, or has several brokers, which are hardly ever away all at once: that means that hosts are short
/// of CPU, and processes that all begin anew would keep them so.
const OUTAGE_OF_THE_BUSY: Duration = Duration::from_secs(20);

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Given,
    /// Not in time, by somebody who is there.
    Late,
    /// Nobody was there.
    None,
}

/// Since when something does not answer.
#[derive(Debug, Clone, Copy)]
struct Away {
    since: Instant,
    /// Whether nobody was there meanwhile.
    gone: bool,
}

/// What is known of whether something answers.
#[derive(Debug)]
struct Presence {
    /// Whether it has answered at all.
    met: bool,
    /// Absent: it answers.
    away: Option<Away>,
    /// How long nobody must be there for an outage.
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

    fn take(&mut self, answer: Answer, now: Instant) -> Turn {
        let gone = answer == Answer::None;
        match (answer, &mut self.away) {
            (Answer::Given, away) => {
                let met = std::mem::replace(&mut self.met, true);
                let outage = |away: Away| {
                    let least = if away.gone { self.outage } else { OUTAGE_OF_THE_BUSY };
                    met && now.saturating_duration_since(away.since) >= least
                };
                away.take()
                    .map_or(Turn::Same, |away| Turn::Back { outage: outage(away) })
            }
            (_, Some(away)) => {
                away.gone |= gone;
                Turn::Same
            }
            (_, away) => {
                *away = Some(Away { since: now, gone });
                Turn::Away
            }
        }
    }
}

/// Keeps the parts `kafka` and `mongodb` true, and ends with an error when Kafka is back from an outage.
pub(crate) async fn watch(context: Context) -> anyhow::Result<()> {
    let (kafka, mongodb) = (context.health.part("kafka"), context.health.part("mongodb"));
    let outage_of_kafka = if context.kafka.has_several_brokers() {
        OUTAGE_OF_THE_BUSY
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
        let of_kafka = match ping.await? {
            Ok(()) => (Answer::Given, None),
            Err(late @ Silence::Late(_)) => (Answer::Late, Some(late.to_string())),
            Err(nobody) => (Answer::None, Some(nobody.to_string())),
        };
        let of_mongodb = match context.mongo.ping().await {
            Ok(()) => (Answer::Given, None),
            Err(error) => (Answer::None, Some(error.to_string())),
        };
        let pings = [("kafka", &kafka, of_kafka), ("mongodb", &mongodb, of_mongodb)];
        for ((name, part, (answer, error)), presence) in pings.into_iter().zip(&mut presences) {
            match presence.take(answer, Instant::now()) {
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
        use Answer::{Given, Late, None};
        let start = Instant::now();
        let back = |outage| Turn::Back { outage };
        let cases = [
            // A start before it.
            (vec![(None, 0), (Given, 60)], vec![Turn::Away, back(false)]),
            // A slow answer.
            (
                vec![(Given, 0), (None, 2), (Given, 4)],
                vec![Turn::Same, Turn::Away, back(false)],
            ),
            // An outage, which begins with an answer that does not come, and after it everything is as before.
            (
                vec![(Given, 0), (Late, 2), (None, 4), (Given, 5), (Given, 7)],
                vec![Turn::Same, Turn::Away, Turn::Same, back(true), Turn::Same],
            ),
            // One that is busy.
            (
                vec![(Given, 0), (Late, 2), (Late, 4), (Given, 8)],
                vec![Turn::Same, Turn::Away, Turn::Same, back(false)],
            ),
            // One that was stopped.
            (
                vec![(Given, 0), (Late, 2), (Late, 4), (Given, 23)],
                vec![Turn::Same, Turn::Away, Turn::Same, back(true)],
            ),
        ];
        for (seen, expected) in cases {
            let mut presence = Presence::new(OUTAGE);
            let turns: Vec<Turn> = seen
                .iter()
                .map(|(answer, second)| presence.take(*answer, start + Duration::from_secs(*second)))
                .collect();
            assert_eq!(turns, expected, "{seen:?}");
        }
    }
}

//! Which Kafka clients of this process are lost: librdkafka says it itself, and does not always find back.
//!
//! A broker that has just come back may answer with a list of no brokers. librdkafka 2.10 to 2.15 then forgets every broker it
//! knows and asks nobody any more, for ever (confluentinc/librdkafka#5301). Partitions can also stay without a leader or
//! outside of fetching after an outage. A process with such a client looks alive and does nothing, so it has to begin anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Statistics;
use rdkafka::statistics::Partition;

/// A client that has said nothing for so long is not asked for messages, so nobody misses any.
const SILENT: Duration = Duration::from_secs(12);
/// How often librdkafka tells of itself, in milliseconds.
pub(super) const INTERVAL_MS: &str = "5000";

/// How all clients of a process are.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    clients: Mutex<Clients>,
}

#[derive(Debug, Default)]
struct Clients {
    last: u64,
    all: BTreeMap<u64, Client>,
}

#[derive(Debug)]
struct Client {
    name: String,
    /// Offset from which each partition is fetched next, as of the last word.
    next: BTreeMap<(String, i32), i64>,
    /// Messages of its consumer group that are still to be handled, as of the last word.
    lag: u64,
    /// What is wrong, and since when.
    complaint: Option<(String, Instant)>,
    /// When it told of itself last.
    heard: Instant,
}

/// One client's place among the vitals; it leaves when it is dropped.
#[derive(Debug)]
pub(super) struct Pulse {
    vitals: Arc<Vitals>,
    id: u64,
}

impl Vitals {
    /// Takes in a client.
    pub(super) fn enter(self: &Arc<Self>, name: String) -> Pulse {
        let mut clients = self.lock();
        clients.last += 1;
        let id = clients.last;
        let client = Client {
            name,
            next: BTreeMap::new(),
            lag: 0,
            complaint: None,
            heard: Instant::now(),
        };
        clients.all.insert(id, client);
        Pulse {
            vitals: self.clone(),
            id,
        }
    }

    /// Returns a client that has been lost for so long, counted from `from` at the earliest, and what is wrong with it.
    pub(super) fn lost(&self, long: Duration, from: Instant, now: Instant) -> Option<String> {
        let clients = self.lock();
        clients.all.values().find_map(|client| {
            let (complaint, since) = client.complaint.as_ref()?;
            let speaks = now.saturating_duration_since(client.heard) < SILENT;
            // It must have complained after that moment, too: what it said before may have passed.
            let speaks = speaks && client.heard >= from;
            (speaks && now.saturating_duration_since((*since).max(from)) >= long)
                .then(|| format!("{}: {complaint}", client.name))
        })
    }

    /// Messages of all consumer groups of this process that are still to be handled.
    pub(super) fn lag(&self) -> u64 {
        self.lock().all.values().map(|client| client.lag).sum()
    }

    /// Whether a client complains.
    pub(super) fn doubtful(&self) -> bool {
        self.lock().all.values().any(|client| client.complaint.is_some())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    /// Takes librdkafka's word.
    pub(super) fn take(&self, said: &Statistics, now: Instant) {
        let mut clients = self.vitals.lock();
        let Some(client) = clients.all.get_mut(&self.id) else {
            return;
        };
        client.complaint = match (complaint(said, &client.next), client.complaint.take()) {
            (None, _) => None,
            // Each complaint has its own time: several that pass do not add up.
            (Some(what), Some((before, since))) if what == before => Some((what, since)),
            (Some(what), _) => Some((what, now)),
        };
        client.next = next_offsets(said);
        client.lag = lag(said);
        client.heard = now;
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.vitals.lock().all.remove(&self.id);
    }
}

/// Messages behind the committed offsets of a group's member; 0 for who reads without a group.
fn lag(said: &Statistics) -> u64 {
    // Of partitions that another copy has now, the last numbers stay. Who commits nothing has none.
    let lags = wanted(said).filter_map(|(_, partition)| u64::try_from(partition.consumer_lag).ok());
    lags.sum()
}

/// Says what is wrong with a client. `before` are the offsets of its last word.
fn complaint(said: &Statistics, before: &BTreeMap<(String, i32), i64>) -> Option<String> {
    // `logical` is the group's coordinator, `internal` the place of partitions without a leader.
    let knows_brokers = said
        .brokers
        .values()
        .any(|broker| broker.source == "configured" || broker.source == "learned");
    if !knows_brokers {
        return Some("it knows no broker any more".to_owned());
    }
    if said.client_type != "consumer" {
        return None;
    }
    let complaints = wanted(said).filter_map(|(topic, partition)| {
        let last = before.get(&(topic.to_owned(), partition.partition));
        let what = stands(partition, last.copied())?;
        Some(format!("partition {} of {topic} {what}", partition.partition))
    });
    // The same one each time, while there are several.
    complaints.min()
}

/// Says why nothing comes from a partition.
fn stands(partition: &Partition, before: Option<i64>) -> Option<String> {
    if partition.leader < 0 || partition.broker < 0 {
        Some("has no leader that is asked".to_owned())
    } else if partition.fetch_state != "active" {
        Some(format!("is not fetched but in state {}", partition.fetch_state))
    } else if partition.hi_offset > partition.next_offset
        && partition.fetchq_cnt == 0
        && before == Some(partition.next_offset)
    {
        Some(format!("stands at offset {}", partition.next_offset))
    } else {
        None
    }
}

fn next_offsets(said: &Statistics) -> BTreeMap<(String, i32), i64> {
    wanted(said)
        .map(|(topic, partition)| ((topic.to_owned(), partition.partition), partition.next_offset))
        .collect()
}

fn wanted(said: &Statistics) -> impl Iterator<Item = (&str, &Partition)> {
    said.topics.values().flat_map(|topic| {
        let partitions = topic.partitions.values().filter(|partition| partition.desired);
        partitions.map(|partition| (topic.topic.as_str(), partition))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::statistics::{Broker, Topic};

    fn said(partition: Partition) -> Statistics {
        let broker = |source: &str| Broker {
            source: source.to_owned(),
            ..Broker::default()
        };
        Statistics {
            client_type: "consumer".to_owned(),
            brokers: [
                ("group".to_owned(), broker("logical")),
                ("one".to_owned(), broker("learned")),
            ]
            .into(),
            topics: [(
                "t".to_owned(),
                Topic {
                    topic: "t".to_owned(),
                    partitions: [(0, partition)].into(),
                    ..Topic::default()
                },
            )]
            .into(),
            ..Statistics::default()
        }
    }

    fn fetched() -> Partition {
        Partition {
            desired: true,
            leader: 1,
            broker: 1,
            fetch_state: "active".to_owned(),
            next_offset: 7,
            hi_offset: 7,
            ..Partition::default()
        }
    }

    #[test]
    fn a_partition_that_nothing_comes_from_is_told_of() {
        let cases = [
            (fetched(), None),
            (
                Partition {
                    leader: -1,
                    ..fetched()
                },
                Some("partition 0 of t has no leader that is asked"),
            ),
            (
                Partition {
                    fetch_state: "validate-epoch-wait".to_owned(),
                    ..fetched()
                },
                Some("partition 0 of t is not fetched but in state validate-epoch-wait"),
            ),
            (
                Partition {
                    hi_offset: 8,
                    ..fetched()
                },
                Some("partition 0 of t stands at offset 7"),
            ),
            // The application is slow, or what there is has just come.
            (
                Partition {
                    hi_offset: 8,
                    fetchq_cnt: 1,
                    ..fetched()
                },
                None,
            ),
            (
                Partition {
                    desired: false,
                    leader: -1,
                    ..fetched()
                },
                None,
            ),
        ];
        for (partition, expected) in cases {
            let before = [(("t".to_owned(), 0), 7)].into();
            assert_eq!(complaint(&said(partition), &before).as_deref(), expected);
        }
        let moved = [(("t".to_owned(), 0), 6)].into();
        let behind = Partition {
            hi_offset: 8,
            ..fetched()
        };
        assert_eq!(complaint(&said(behind), &moved), None, "it moves");
    }

    #[test]
    fn a_client_without_brokers_is_lost_after_a_while_and_found_when_it_has_some() {
        let vitals = Arc::new(Vitals::default());
        let pulse = vitals.enter("producer".to_owned());
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let long = Duration::from_secs(10);
        let mut empty = said(fetched());
        empty.brokers.remove("one");
        empty.client_type = "producer".to_owned();

        pulse.take(&empty, start);
        pulse.take(&empty, after(5));
        assert_eq!(vitals.lost(long, start, after(9)), None);
        assert_eq!(
            vitals.lost(long, start, after(10)).as_deref(),
            Some("producer: it knows no broker any more")
        );
        assert_eq!(
            vitals.lost(long, after(1), after(10)),
            None,
            "kafka itself was away until then"
        );
        assert_eq!(vitals.lost(long, start, after(17)), None, "it says nothing any more");
        pulse.take(&said(fetched()), after(18));
        assert_eq!(vitals.lost(long, start, after(60)), None);
        pulse.take(&empty, after(61));
        drop(pulse);
        assert_eq!(vitals.lost(long, start, after(100)), None, "it has left");
    }
}

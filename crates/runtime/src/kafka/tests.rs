//! The bus against librdkafka's mock cluster: redelivery, poison, order, tails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::messages::operation::OperationEvent;
use common::{Envelope, Message, MessageId, OperationId, Topic};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::bus::{BatchHandler, Bus, HandleError, Handler, Placed, Publisher, Record, TailFrom, TailItem};

struct Rig {
    cluster: MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
    config: Arc<KafkaConfig>,
    publisher: Arc<KafkaPublisher>,
}

impl Rig {
    fn new() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        let config = Arc::new(KafkaConfig {
            brokers: cluster.bootstrap_servers(),
            name: "t".to_owned(),
            replication: 1,
            service: "tester".to_owned(),
            host: "here".to_owned(),
            access: Access::default(),
            vitals: Arc::default(),
        });
        let topic = Topic::OperationEvents.name();
        cluster.create_topic(&config.topic(topic), 3, 1).unwrap();
        cluster.create_topic(&config.dead_topic(topic), 1, 1).unwrap();
        let publisher = Arc::new(KafkaPublisher::new(config.clone()).unwrap());
        Self {
            cluster,
            config,
            publisher,
        }
    }

    async fn publish(&self, version: u64) {
        let bus = Bus::new(self.publisher.clone(), "tester");
        bus.publish_first(MessageId::new(), done(version)).await.unwrap();
    }

    /// How many messages the group has done with.
    fn committed(&self) -> i64 {
        let (topic, group) = (
            self.config.topic(Topic::OperationEvents.name()),
            "t.tester.operation.events",
        );
        let consumer: BaseConsumer = self.config.reader("check").set("group.id", group).create().unwrap();
        let mut partitions = rdkafka::TopicPartitionList::new();
        partitions.add_partition_range(&topic, 0, 2);
        let found = consumer.committed_offsets(partitions, Duration::from_secs(5)).unwrap();
        found
            .elements()
            .iter()
            .map(|element| element.offset().to_raw().unwrap().max(0))
            .sum()
    }

    fn consume<H: Handler<OperationEvent>>(
        &self,
        handler: Arc<H>,
        shutdown: &CancellationToken,
    ) -> tokio::task::JoinHandle<anyhow::Result<()>> {
        let (config, publisher) = (self.config.clone(), self.publisher.clone());
        tokio::spawn(consume(config, publisher, Arc::default(), handler, shutdown.clone()))
    }
}

fn done(version: u64) -> OperationEvent {
    OperationEvent::Done {
        id: OperationId::derive(&["one key, one partition"]),
        version: Some(version),
    }
}

fn version(envelope: &Envelope<OperationEvent>) -> u64 {
    match envelope.message {
        OperationEvent::Done { version, .. } => version.unwrap(),
        OperationEvent::Refused { .. } => panic!("not sent here"),
    }
}

/// Records what it handles; fails on `fails` as often as it says.
#[derive(Default)]
struct Recorder {
    seen: Mutex<Vec<u64>>,
    fails: Option<(u64, fn() -> HandleError)>,
    left: AtomicUsize,
}

#[async_trait]
impl Handler<OperationEvent> for Recorder {
    async fn handle(&self, envelope: &Envelope<OperationEvent>) -> Result<(), HandleError> {
        let version = version(envelope);
        if let Some((at, error)) = self.fails
            && at == version
            && self
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok()
        {
            return Err(error());
        }
        self.seen.lock().unwrap().push(version);
        Ok(())
    }
}

#[async_trait]
impl BatchHandler<OperationEvent> for Recorder {
    async fn handle_batch(&self, batch: &[Placed<OperationEvent>]) -> Result<(), HandleError> {
        let versions = batch.iter().map(|placed| version(&placed.envelope));
        self.seen.lock().unwrap().extend(versions);
        Ok(())
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    tokio::time::timeout(Duration::from_secs(60), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("never came: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_dependency_is_down_waits_and_nothing_overtakes_it() {
    let rig = Rig::new();
    let handler = Arc::new(Recorder {
        fails: Some((2, || HandleError::Retry(anyhow::anyhow!("down")))),
        left: AtomicUsize::new(3),
        ..Recorder::default()
    });
    let shutdown = CancellationToken::new();
    let task = rig.consume(handler.clone(), &shutdown);
    for version in 1..=4 {
        rig.publish(version).await;
    }
    until("four messages", || handler.seen.lock().unwrap().len() == 4).await;
    assert_eq!(*handler.seen.lock().unwrap(), [1, 2, 3, 4]);
    shutdown.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_goes_to_the_dead_letter_topic_and_the_rest_goes_on() {
    let rig = Rig::new();
    let handler = Arc::new(Recorder {
        fails: Some((2, || HandleError::Reject("never works".to_owned()))),
        left: AtomicUsize::new(1),
        ..Recorder::default()
    });
    let shutdown = CancellationToken::new();
    let task = rig.consume(handler.clone(), &shutdown);
    rig.publish(1).await;
    let broken = Record {
        payload: Some("{not json".to_owned()),
        ..Record::tombstone(Topic::OperationEvents, done(0).key())
    };
    rig.publisher.enqueue(&broken).unwrap().await.unwrap();
    rig.publish(2).await;
    rig.publish(3).await;
    until("two messages", || handler.seen.lock().unwrap().len() == 2).await;
    assert_eq!(*handler.seen.lock().unwrap(), [1, 3]);
    let dead = rig.config.dead_topic(Topic::OperationEvents.name());
    let consumer: BaseConsumer = rig.config.reader("check").set("group.id", "check").create().unwrap();
    let marks = Consumer::fetch_watermarks(&consumer, &dead, 0, Duration::from_secs(5)).unwrap();
    assert_eq!(marks, (0, 2));
    shutdown.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_comes_again_after_a_restart() {
    let rig = Rig::new();
    rig.publish(1).await;
    let stuck = Arc::new(Recorder {
        fails: Some((1, || HandleError::Retry(anyhow::anyhow!("down")))),
        left: AtomicUsize::new(usize::MAX),
        ..Recorder::default()
    });
    let first = CancellationToken::new();
    let task = rig.consume(stuck.clone(), &first);
    until("a try", || stuck.left.load(Ordering::SeqCst) < usize::MAX).await;
    first.cancel();
    task.await.unwrap().unwrap();
    let handler = Arc::new(Recorder::default());
    let second = CancellationToken::new();
    let task = rig.consume(handler.clone(), &second);
    until("the message again", || *handler.seen.lock().unwrap() == [1]).await;
    second.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_reads_from_where_it_is_told_and_says_when_it_has_caught_up() {
    let rig = Rig::new();
    for version in 1..=3 {
        rig.publish(version).await;
    }
    let mut all = tail::<OperationEvent>(rig.config.clone(), TailFrom::Beginning)
        .await
        .unwrap();
    let mut seen = Vec::new();
    let place = loop {
        match all.next().await.unwrap() {
            TailItem::Message(placed) => seen.push((version(&placed.envelope), placed.partition, placed.offset)),
            TailItem::CaughtUp => break seen[1],
            other => panic!("unexpected {other:?}"),
        }
    };
    assert_eq!(seen.iter().map(|(version, ..)| *version).collect::<Vec<_>>(), [1, 2, 3]);
    let mut from_second = tail::<OperationEvent>(
        rig.config.clone(),
        TailFrom::Offsets(BTreeMap::from([(place.1, place.2)])),
    )
    .await
    .unwrap();
    match from_second.next().await.unwrap() {
        TailItem::Message(placed) => assert_eq!(version(&placed.envelope), 2),
        other => panic!("unexpected {other:?}"),
    }
    let mut live = tail::<OperationEvent>(rig.config.clone(), TailFrom::End).await.unwrap();
    assert!(matches!(live.next().await.unwrap(), TailItem::CaughtUp));
    rig.publish(4).await;
    match live.next().await.unwrap() {
        TailItem::Message(placed) => assert_eq!(version(&placed.envelope), 4),
        other => panic!("unexpected {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_confirmed_while_the_broker_is_away_and_all_of_it_afterwards() {
    let rig = Rig::new();
    rig.publish(1).await;
    rig.cluster.broker_down(1).unwrap();
    let record = Record::of(&Envelope::first(
        MessageId::new(),
        "tester",
        common::Timestamp::now(),
        done(2),
    ))
    .unwrap();
    let delivery = rig.publisher.enqueue(&record).unwrap();
    let mut delivery = Box::pin(delivery);
    assert!(
        tokio::time::timeout(Duration::from_millis(500), &mut delivery)
            .await
            .is_err()
    );
    rig.cluster.broker_up(1).unwrap();
    tokio::time::timeout(Duration::from_secs(20), delivery)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_partitions_move_between_copies_is_handled() {
    let rig = Rig::new();
    let seen = Arc::new(Recorder::default());
    let copy = |host: &str, shutdown: &CancellationToken| {
        let config = KafkaConfig {
            host: host.to_owned(),
            ..(*rig.config).clone()
        };
        let status = Arc::new(ConsumerStatus::default());
        let limits = BatchLimits {
            messages: 50,
            linger: Duration::from_millis(100),
        };
        let (publisher, handler) = (rig.publisher.clone(), seen.clone());
        let work = consume_batches(
            Arc::new(config),
            publisher,
            status.clone(),
            handler,
            limits,
            shutdown.clone(),
        );
        (status, tokio::spawn(work))
    };
    let (bus, published) = (Bus::new(rig.publisher.clone(), "tester"), AtomicUsize::new(0));
    let all_of_ten_more = async || {
        for _ in 0..10 {
            let version = published.fetch_add(1, Ordering::SeqCst) as u64;
            let id = OperationId::derive(&["each on its own partition", &version.to_string()]);
            let message = OperationEvent::Done {
                id,
                version: Some(version),
            };
            bus.publish_first(MessageId::new(), message).await.unwrap();
        }
        let all: BTreeSet<u64> = (0..published.load(Ordering::SeqCst) as u64).collect();
        until("every message", || {
            let seen: BTreeSet<u64> = seen.seen.lock().unwrap().iter().copied().collect();
            all.is_subset(&seen)
        })
        .await;
        // Nothing is handled again that would hide one that is left out.
        until("everything is committed", || rig.committed() == all.len() as i64).await;
    };
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let (status, running) = copy("here", &first);
    until("the first copy has partitions", || status.assigned()).await;
    all_of_ten_more().await;
    // Both are idle while partitions move: what comes next is the first that they see of what they have now.
    let (status, leaving) = copy("there", &second);
    until("the second copy has partitions", || status.assigned()).await;
    all_of_ten_more().await;
    for (end, consuming) in [(first, running), (second, leaving)] {
        end.cancel();
        consuming.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_fenced_by_its_former_self_goes_on() {
    let mut rig = Rig::new();
    // The mock cluster keeps the former self's place until its session is over, which is shorter with several brokers.
    rig.config = Arc::new(KafkaConfig {
        replication: 3,
        ..(*rig.config).clone()
    });
    let (handler, shutdown) = (Arc::new(Recorder::default()), CancellationToken::new());
    let task = rig.consume(handler.clone(), &shutdown);
    // The next commit is refused as that of a member whose place another one has.
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID];
    rig.cluster.request_errors(RDKafkaApiKey::OffsetCommit, &refused);
    rig.publish(1).await;
    // It comes again to the consumer that takes the place of the one whose commit was refused.
    until("the message twice", || *handler.seen.lock().unwrap() == [1, 1]).await;
    rig.publish(2).await;
    until("the next one", || *handler.seen.lock().unwrap() == [1, 1, 2]).await;
    until("both are done with", || rig.committed() == 2).await;
    shutdown.cancel();
    task.await.unwrap().unwrap();
}

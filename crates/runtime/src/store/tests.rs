use super::*;
use crate::bus::Record;
use crate::memory::MemoryBus;
use common::{MessageId, Topic};
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
struct Counter {
    count: u64,
}

impl Entity for Counter {
    const COLLECTION: &'static str = "test_counters";
    const INDEXES: &'static [&'static str] = &["parity"];
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("parity", (self.count % 2).to_string())]
    }
}

fn record(key: &str) -> Record {
    Record::tombstone(Topic::AuditLog, key.to_owned())
}

fn add(count: Option<&Counter>, note: &str) -> Result<Change<Counter>, String> {
    let count = count.map_or(0, |counter| counter.count) + 1;
    Ok(Change::Put {
        entity: Counter { count },
        records: vec![record(note)],
    })
}

#[tokio::test]
async fn sixteen_writers_lose_nothing() {
    let (memory, bus) = MemoryBus::bus("test");
    let counters = Entities::<Counter>::new(Arc::new(MemoryDocuments::default()), bus);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let counters = counters.clone();
        tasks.spawn(async move {
            for _ in 0..20 {
                counters
                    .apply("one", None, |counter, _| add(counter, "x"))
                    .await
                    .unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(counters.get("one").await.unwrap().unwrap().entity.count, 320);
    assert!(memory.records().len() >= 320);
    assert_eq!(counters.sweep().await.unwrap(), 0, "every outbox is empty");
}

#[tokio::test]
async fn a_repeated_message_changes_nothing_and_publishes_what_was_left() {
    let (memory, bus) = MemoryBus::bus("test");
    let counters = Entities::<Counter>::new(Arc::new(MemoryDocuments::default()), bus);
    let cause = Some(MessageId::new());
    memory.set_down(true);
    counters
        .apply("one", cause, |counter, _| add(counter, "x"))
        .await
        .unwrap();
    assert_eq!(memory.records().len(), 0);
    memory.set_down(false);
    let again = counters
        .apply("one", cause, |counter, _| add(counter, "x"))
        .await
        .unwrap();
    assert!(matches!(again, Applied::Duplicate(Some(stored)) if stored.entity.count == 1));
    assert_eq!(memory.records().len(), 1);
    counters
        .apply("one", cause, |counter, _| add(counter, "x"))
        .await
        .unwrap();
    assert_eq!(memory.records().len(), 1, "the outbox was trimmed");
}

#[tokio::test]
async fn the_sweep_publishes_what_an_outage_left_also_of_deleted_entities() {
    let (memory, bus) = MemoryBus::bus("test");
    let documents = Arc::new(MemoryDocuments::default());
    let counters = Entities::<Counter>::new(documents.clone(), bus);
    counters
        .apply("one", None, |counter, _| add(counter, "made"))
        .await
        .unwrap();
    memory.set_down(true);
    counters
        .apply("one", None, |_, _| {
            Ok::<_, String>(Change::Delete {
                records: vec![record("gone")],
            })
        })
        .await
        .unwrap();
    assert!(counters.get("one").await.unwrap().is_none());
    memory.set_down(false);
    assert_eq!(counters.sweep().await.unwrap(), 1);
    assert_eq!(memory.records().last().unwrap().key, "gone");
    assert_eq!(documents.find("test_counters", "one").await.unwrap(), None);
}

#[tokio::test]
async fn lists_by_indexed_field() {
    let (_, bus) = MemoryBus::bus("test");
    let counters = Entities::<Counter>::new(Arc::new(MemoryDocuments::default()), bus);
    for id in ["a", "b", "b"] {
        counters.apply(id, None, |counter, _| add(counter, "x")).await.unwrap();
    }
    let odd = counters.list(&[("parity", "1")]).await.unwrap();
    assert_eq!(odd.iter().map(|stored| stored.id.as_str()).collect::<Vec<_>>(), ["a"]);
}

/// A bus that another process overtakes: it holds back what was sent first until the other has had its say.
struct Slow {
    inner: Arc<MemoryBus>,
    other: std::sync::Mutex<Option<futures_util::future::BoxFuture<'static, ()>>>,
}

#[async_trait::async_trait]
impl crate::bus::Publisher for Slow {
    fn enqueue(&self, record: &Record) -> Result<crate::bus::Delivery, crate::BusError> {
        let other = self.other.lock().unwrap().take();
        let (inner, record) = (self.inner.clone(), record.clone());
        Ok(Box::pin(async move {
            if let Some(other) = other {
                other.await;
            }
            inner.enqueue(&record)?.await
        }))
    }

    async fn room(&self) {}
}

#[tokio::test]
async fn an_older_event_that_arrives_late_is_not_the_last_word() {
    let event = |text: &str| Record {
        payload: Some(text.to_owned()),
        ..Record::tombstone(Topic::ScheduleEvents, "one".to_owned())
    };
    let put = move |count: u64, text: &'static str| {
        move |_: Option<&Counter>, _| {
            Ok::<_, String>(Change::Put {
                entity: Counter { count },
                records: vec![event(text)],
            })
        }
    };
    let last = |memory: &MemoryBus| memory.records().last().and_then(|record| record.payload.clone());
    for deleted in [false, true] {
        let (memory, bus) = MemoryBus::bus("test");
        let documents = Arc::new(MemoryDocuments::default());
        let other = Entities::<Counter>::new(documents.clone(), bus);
        let meanwhile = Box::pin(async move {
            assert_eq!(other.sweep().await.unwrap(), 1);
            if deleted {
                let delete = |_: Option<&Counter>, _| {
                    Ok::<_, String>(Change::Delete {
                        records: vec![event("").end_of_key()],
                    })
                };
                other.apply("one", None, delete).await.unwrap();
            } else {
                other.apply("one", None, put(2, "second")).await.unwrap();
            }
        });
        let slow = Arc::new(Slow {
            inner: memory.clone(),
            other: std::sync::Mutex::new(Some(meanwhile)),
        });
        let late = Entities::<Counter>::new(documents, crate::Bus::new(slow, "test"));
        late.apply("one", None, put(1, "first")).await.unwrap();
        let late = memory
            .records()
            .iter()
            .rposition(|record| record.payload.as_deref() == Some("first"));
        assert_eq!(
            late,
            Some(memory.records().len() - 2),
            "it was the last one for a moment"
        );
        assert_eq!(
            last(&memory).as_deref(),
            (!deleted).then_some("second"),
            "deleted: {deleted}"
        );
    }
}

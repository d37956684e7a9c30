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

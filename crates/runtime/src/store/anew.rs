//! Another Kafka beside a store that is older: Kafka was lost, or the store comes from a backup.
//!
//! Compacted topics tell what is. A store that finds itself beside another Kafka than the one it was filled beside tells it all
//! once more, from the newest records that each document remembers. Positions in the topics of before mean nothing in
//! these, so that an entity gives them up ([`Entity::beside_new_topics`]).

use std::convert::Infallible;

use common::MessageId;

use super::entities::{Entities, decode};
use super::{ApplyError, Change, Document, Entity, StoreError};
use crate::bus::BusError;

/// Documents that are looked at together.
const PAGE: usize = 200;

/// Why a store did not settle; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// MongoDB.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Kafka.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl<T: Entity> Entities<T> {
    /// Settles beside a Kafka, known by its cluster's id, and remembers it among `marks`. Beside another than before everything is told once more;
    /// returns how many documents there were then. `restored`: the store comes from a backup, so that without a mark, too, this is another one. Interrupted, it is done again as a whole; done by two copies at once, it is done once.
    ///
    /// # Errors
    /// When the store or Kafka fails.
    pub(crate) async fn settle(&self, marks: &'static str, kafka: &str, restored: bool) -> Result<usize, SettleError> {
        let _turn = self.settling.lock().await;
        let id = format!("kafka of {}", T::COLLECTION);
        let mark = self.documents.find(marks, &id).await?;
        let body = Some(serde_json::Value::from(kafka).to_string());
        if mark.as_ref().is_some_and(|mark| mark.body == body) {
            return Ok(0);
        }
        let settled = Document {
            id,
            version: mark.as_ref().map_or(0, |mark| mark.version) + 1,
            body,
            seen: Vec::new(),
            outbox: Vec::new(),
            newest: Vec::new(),
            index: std::collections::BTreeMap::new(),
        };
        let told = match &mark {
            // The store is new, or older than marks are: then this is the Kafka that it was filled beside.
            None if !restored => 0,
            _ => self.tell_all(kafka).await?,
        };
        // Another copy that was faster has done the same.
        match mark {
            None => self.documents.insert(marks, &settled).await?,
            Some(mark) => self.documents.replace(marks, &settled, mark.version).await?,
        };
        Ok(told)
    }

    async fn tell_all(&self, kafka: &str) -> Result<usize, SettleError> {
        // Another copy may have settled already and gone on: what it wrote since must not be given up once more.
        let cause = MessageId::derive(&["beside", kafka, T::COLLECTION]);
        let (mut told, mut after) = (0, None::<String>);
        loop {
            let page = self.documents.list(T::COLLECTION, &[], after.as_deref(), PAGE).await?;
            for document in &page {
                self.give_up_positions(document, cause).await?;
            }
            let newest: Vec<_> = page.iter().flat_map(|document| document.newest.clone()).collect();
            self.bus.send(&newest).await?;
            for document in page.iter().filter(|document| !document.newest.is_empty()) {
                self.have_the_last_word(document).await;
            }
            told += page.len();
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.id.clone()),
                _ => return Ok(told),
            }
        }
    }

    async fn give_up_positions(&self, document: &Document, cause: MessageId) -> Result<(), StoreError> {
        let stored = decode::<T>(document)?;
        if stored.and_then(|stored| stored.entity.beside_new_topics()).is_none() {
            return Ok(());
        }
        let decide = |current: Option<&T>, _| {
            let entity = current.and_then(T::beside_new_topics);
            Ok::<_, Infallible>(entity.map_or(Change::Keep, |entity| Change::Put {
                entity,
                records: Vec::new(),
            }))
        };
        match self.apply(&document.id, Some(cause), decide).await {
            Ok(_) => Ok(()),
            Err(ApplyError::Refused(never)) => match never {},
            Err(ApplyError::Store(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use common::Topic;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::bus::Record;
    use crate::memory::MemoryBus;
    use crate::store::MemoryDocuments;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Reader {
        position: i64,
    }

    impl Entity for Reader {
        const COLLECTION: &'static str = "test_readers";
        fn beside_new_topics(&self) -> Option<Self> {
            Some(Self { position: 0 })
        }
    }

    async fn put(readers: &Entities<Reader>, id: &str, position: i64) {
        let event = Record {
            payload: Some(position.to_string()),
            ..Record::tombstone(Topic::ScheduleEvents, id.to_owned())
        };
        let put = |_: Option<&Reader>, _| {
            Ok::<_, Infallible>(Change::Put {
                entity: Reader { position },
                records: vec![event.clone()],
            })
        };
        readers.apply(id, None, put).await.unwrap();
    }

    async fn positions(readers: &Entities<Reader>) -> Vec<i64> {
        let all = readers.list(&[]).await.unwrap();
        all.iter().map(|stored| stored.entity.position).collect()
    }

    #[tokio::test]
    async fn beside_another_kafka_everything_is_told_once_more_and_positions_are_given_up() {
        let (memory, bus) = MemoryBus::bus("test");
        let readers = Entities::<Reader>::new(Arc::new(MemoryDocuments::default()), bus);
        for number in 0..450_i64 {
            put(&readers, &format!("{number:03}"), number).await;
        }
        assert_eq!(
            readers.settle("marks", "first", false).await.unwrap(),
            0,
            "the Kafka it was filled beside"
        );
        assert_eq!(readers.settle("marks", "first", false).await.unwrap(), 0);
        assert_eq!(memory.records().len(), 450);
        assert_eq!(positions(&readers).await[449], 449);

        memory.set_down(true);
        assert!(readers.settle("marks", "second", false).await.is_err());
        memory.set_down(false);
        assert_eq!(
            readers.settle("marks", "second", false).await.unwrap(),
            450,
            "as a whole"
        );
        let told: Vec<String> = memory.records()[450..]
            .iter()
            .map(|record| record.key.clone())
            .collect();
        assert_eq!(told, (0..450).map(|number| format!("{number:03}")).collect::<Vec<_>>());
        assert_eq!(positions(&readers).await, [0; 450]);

        put(&readers, "000", 7).await;
        assert_eq!(readers.settle("marks", "second", false).await.unwrap(), 0);
        // A copy that began to settle at the same time.
        readers.tell_all("second").await.unwrap();
        assert_eq!(positions(&readers).await[0], 7, "what was read since is not given up");
    }

    #[tokio::test]
    async fn a_backup_that_is_older_than_marks_is_beside_another_kafka_too() {
        let (memory, bus) = MemoryBus::bus("test");
        let readers = Entities::<Reader>::new(Arc::new(MemoryDocuments::default()), bus);
        put(&readers, "a", 5).await;
        let (one, other) = tokio::join!(
            readers.settle("marks", "new", true),
            readers.settle("marks", "new", true)
        );
        assert_eq!((one.unwrap(), other.unwrap()), (1, 0), "one task does it for all");
        assert_eq!((memory.records().len(), positions(&readers).await), (2, vec![0]));
        assert_eq!(readers.settle("marks", "new", true).await.unwrap(), 0, "once");
    }
}

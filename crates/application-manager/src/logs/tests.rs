use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use proptest::prelude::*;
use runtime::memory;

/// Blocks in memory, with the same contract.
#[derive(Default)]
pub(super) struct MemoryBlocks(Mutex<BTreeMap<String, Block>>);

#[async_trait]
impl Blocks for MemoryBlocks {
    async fn add(&self, blocks: &[Block]) -> Result<(), StoreError> {
        let mut all = self.0.lock().unwrap();
        for block in blocks {
            all.entry(block.id.clone()).or_insert_with(|| block.clone());
        }
        Ok(())
    }
    async fn bucket(&self, source: &str, bucket: i64, each: &mut (dyn FnMut(Block) + Send)) -> Result<(), StoreError> {
        let all = self.0.lock().unwrap();
        all.values()
            .filter(|block| block.source == source && block.bucket() == bucket)
            .cloned()
            .for_each(each);
        Ok(())
    }
    async fn remove_before(&self, moment: Timestamp) -> Result<u64, StoreError> {
        let mut all = self.0.lock().unwrap();
        let before = all.len();
        all.retain(|_, block| block.bucket() >= moment.millis().div_euclid(BUCKET));
        Ok((before - all.len()) as u64)
    }
    async fn remove_all_before(&self, moment: Timestamp) -> Result<u64, StoreError> {
        self.remove_before(moment).await
    }
}

/// Some buckets after every line of these tests.
fn now() -> Timestamp {
    Timestamp::from_millis(10 * BUCKET)
}

pub(super) fn logs() -> (Arc<MemoryBlocks>, Logs) {
    let blocks = Arc::new(MemoryBlocks::default());
    (
        blocks.clone(),
        Logs {
            blocks,
            kept: 150 * BUCKET,
        },
    )
}

fn line(number: u64, time: i64, text: &str) -> LogLine {
    LogLine {
        number,
        time: Timestamp::from_millis(time),
        stream: Stream::Stdout,
        text: text.to_owned(),
    }
}

fn of(instance: InstanceId, container: &str, lines: Vec<LogLine>) -> Placed<AppLog> {
    let message = AppLog::Instance {
        instance,
        container: container.to_owned(),
        lines,
    };
    Placed {
        partition: 0,
        offset: 0,
        envelope: memory::envelope(message),
    }
}

async fn ask(logs: &Logs, instance: InstanceId, text: Option<&str>, before: Option<&str>, limit: usize) -> LogPage {
    let query = LogQuery {
        text: text.map(ToOwned::to_owned),
        before: before.map(|before| before.parse().unwrap()),
        limit,
    };
    logs.query_between(now(), now(), LogSource::Instance(instance), &query)
        .await
        .unwrap()
}

fn texts(page: &LogPage) -> Vec<&str> {
    page.items.iter().map(|item| item.text.as_str()).collect()
}

#[tokio::test]
async fn a_repeated_batch_and_lines_cut_anew_are_shown_once() {
    let (blocks, logs) = logs();
    let instance = InstanceId::new();
    let batch = [of(instance, "c1", vec![line(1, 10, "a"), line(2, 20, "b")])];
    logs.handle_batch(&batch).await.unwrap();
    logs.handle_batch(&batch).await.unwrap();
    assert_eq!(blocks.0.lock().unwrap().len(), 1);
    logs.handle_batch(&[of(
        instance,
        "c1",
        vec![line(1, 10, "a"), line(2, 20, "b"), line(3, 30, "c")],
    )])
    .await
    .unwrap();
    assert_eq!(texts(&ask(&logs, instance, None, None, 10).await), ["a", "b", "c"]);
    assert_eq!(ask(&logs, InstanceId::new(), None, None, 10).await.items, []);
}

#[tokio::test]
async fn a_second_build_is_not_mistaken_for_the_first() {
    let (_, logs) = logs();
    let version = VersionId::new();
    for (time, text) in [(10, "first"), (9000, "second")] {
        let message = AppLog::Build {
            version,
            lines: vec![line(1, time, text)],
        };
        logs.handle_batch(&[Placed {
            partition: 0,
            offset: 0,
            envelope: memory::envelope(message),
        }])
        .await
        .unwrap();
    }
    let query = LogQuery {
        limit: 10,
        ..LogQuery::default()
    };
    let page = logs
        .query_between(now(), now(), LogSource::Version(version), &query)
        .await
        .unwrap();
    assert_eq!(texts(&page), ["first", "second"]);
}

#[tokio::test]
async fn text_is_found_whatever_its_case() {
    let (_, logs) = logs();
    let instance = InstanceId::new();
    let lines = vec![line(1, 1, "Fan ON"), line(2, 2, "idle"), line(3, 3, "fan off (50%)")];
    logs.handle_batch(&[of(instance, "c", lines)]).await.unwrap();
    assert_eq!(
        texts(&ask(&logs, instance, Some("FAN o"), None, 10).await),
        ["Fan ON", "fan off (50%)"]
    );
    assert_eq!(
        texts(&ask(&logs, instance, Some("50%)"), None, 10).await),
        ["fan off (50%)"]
    );
    assert_eq!(ask(&logs, instance, Some("nope"), None, 10).await.next, None);
}

#[tokio::test]
async fn a_search_for_what_is_rare_answers_in_steps() {
    let (_, mut logs) = logs();
    logs.kept = 1000 * BUCKET;
    let instance = InstanceId::new();
    let total = PATIENCE + 100;
    let batch: Vec<_> = (0..total)
        .map(|n| {
            of(
                instance,
                "c",
                vec![line(
                    n.unsigned_abs(),
                    n * BUCKET,
                    if n == 3 { "needle" } else { "hay" },
                )],
            )
        })
        .collect();
    logs.handle_batch(&batch).await.unwrap();
    let mut query = LogQuery {
        text: Some("needle".to_owned()),
        limit: 5,
        ..LogQuery::default()
    };
    let end = Timestamp::from_millis(total * BUCKET);
    let first = logs
        .query_between(end, end, LogSource::Instance(instance), &query)
        .await
        .unwrap();
    assert_eq!(first.items, []);
    query.before = first.next.map(|next| next.parse().unwrap());
    let second = logs
        .query_between(end, end, LogSource::Instance(instance), &query)
        .await
        .unwrap();
    assert_eq!(texts(&second), ["needle"]);
    // What ended long ago is looked for where it ended.
    query.before = None;
    let long_ago = Timestamp::from_millis(5 * BUCKET);
    let ended = logs
        .query_between(end, long_ago, LogSource::Instance(instance), &query)
        .await
        .unwrap();
    assert_eq!(texts(&ended), ["needle"]);
}

#[tokio::test]
async fn old_blocks_go() {
    let (_, logs) = logs();
    let instance = InstanceId::new();
    let batch = [
        of(instance, "c", vec![line(1, BUCKET - 1, "old")]),
        of(instance, "c", vec![line(2, BUCKET, "new")]),
    ];
    logs.handle_batch(&batch).await.unwrap();
    assert_eq!(
        logs.blocks
            .remove_before(Timestamp::from_millis(BUCKET + 5))
            .await
            .unwrap(),
        1
    );
    assert_eq!(texts(&ask(&logs, instance, None, None, 10).await), ["new"]);
}

#[test]
fn a_message_over_a_long_time_is_cut() {
    let message = AppLog::Build {
        version: VersionId::new(),
        lines: vec![line(1, 0, "a"), line(2, 60_000, "b"), line(3, 60_001, "c")],
    };
    let cut = block::blocks(&message);
    assert_eq!(
        cut.iter().map(|block| (block.from, block.to)).collect::<Vec<_>>(),
        [(0, 60_000), (60_001, 60_001)]
    );
}

#[test]
fn cursors_come_back_and_others_are_refused() {
    let cursor: Cursor = "1700000000000.17.ab.c".parse().unwrap();
    assert_eq!(cursor.to_string(), "1700000000000.17.ab.c");
    for broken in ["", "x", "1.2", "1.x.c", "-.1.c"] {
        assert!(broken.parse::<Cursor>().is_err(), "{broken}");
    }
}

proptest! {
    /// Whatever the containers and times: paging back gives every line once, in order.
    #[test]
    fn pages_put_together_are_everything(times in proptest::collection::vec((0_usize..3, 0_i64..3_000_000), 1..300), limit in 1_usize..40) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_, logs) = logs();
            let instance = InstanceId::new();
            let mut counts = [0_u64; 3];
            let mut by_container: [Vec<LogLine>; 3] = Default::default();
            for (container, time) in &times {
                counts[*container] += 1;
                by_container[*container].push(line(counts[*container], *time, "x"));
            }
            for (container, lines) in by_container.iter().enumerate() {
                for chunk in lines.chunks(3) {
                    logs.handle_batch(&[of(instance, &format!("c{container}"), chunk.to_vec())]).await.unwrap();
                }
            }
            let mut all: Vec<LogEntry> = Vec::new();
            let mut before: Option<String> = None;
            loop {
                let page = ask(&logs, instance, None, before.as_deref(), limit).await;
                assert!(page.items.len() <= limit);
                all.splice(0..0, page.items);
                let Some(next) = page.next else { break };
                before = Some(next);
            }
            assert_eq!(all.len(), times.len());
            let places: Vec<_> = all.iter().map(|entry| (entry.time, entry.container.clone(), entry.number)).collect();
            assert!(places.windows(2).all(|two| two[0] < two[1]));
        });
    }
}

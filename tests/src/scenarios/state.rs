//! The store's one primitive on a real server.

use std::time::Duration;

use anyhow::{Result, ensure};
use common::rights::ADMIN_ACCOUNT;
use runtime::memory::MemoryBus;
use runtime::mongo::Mongo;
use runtime::{Change, Entities, Entity};
use serde::{Deserialize, Serialize};

use crate::stack::Stack;
use crate::{faults, wait};

const WRITERS: u64 = 16;
const WRITES: u64 = 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Counter {
    count: u64,
}

impl Entity for Counter {
    const COLLECTION: &'static str = "tests_counters";
}

/// 16 writers swap one document 20 times each while the server is killed: no acknowledged write is lost.
pub(super) async fn contention(stack: &Stack) -> Result<()> {
    let mongo = Mongo::connect(stack.settings(), ADMIN_ACCOUNT).await?;
    let (_, bus) = MemoryBus::bus("tests");
    let counters = Entities::<Counter>::new(mongo.documents(), bus);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let counters = counters.clone();
        tasks.spawn(async move {
            for _ in 0..WRITES {
                add(&counters).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    let half = || async {
        let stored = counters.get("one").await?;
        Ok(stored
            .filter(|stored| stored.entity.count > WRITERS * WRITES / 2)
            .map(|_| ()))
    };
    wait::until("half of the writes", Duration::from_secs(120), half).await?;
    let server = if stack.pid("mongodb").await.is_ok() {
        "mongodb"
    } else {
        "ferretdb"
    };
    let pid = stack.pid(server).await?;
    faults::kill(pid)?;
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let count = counters.get("one").await?.map(|stored| stored.entity.count);
    ensure!(count == Some(WRITERS * WRITES), "{count:?} of {}", WRITERS * WRITES);
    if server == "ferretdb" {
        looks_up_by_index(stack).await?;
    }
    stack.healthy(Duration::from_secs(60)).await
}

/// `FerretDB` uses none of its own indexes: those that `PostgreSQL` can use are made beside them, else each look-up reads its whole table.
async fn looks_up_by_index(stack: &Stack) -> Result<()> {
    let folder = stack.installation().layout().run("postgresql");
    let server = format!("postgres:///ferretdb?host={}&user=postgres", folder.display());
    let made = r"SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'twin\_%' AND tablename LIKE 'application_manager_users%'";
    wait::until("users are looked up by an index", Duration::from_secs(30), || async {
        let psql = tokio::process::Command::new("psql")
            .args([&server, "-Atc", made])
            .output()
            .await?;
        let said = String::from_utf8_lossy(&[psql.stdout, psql.stderr].concat()).into_owned();
        let count: u32 = said.trim().parse().map_err(|_| anyhow::anyhow!("{said}"))?;
        Ok((count > 0).then_some(()))
    })
    .await
}

/// GridFS, log blocks and archive on the installation's server, by the application manager's own tests.
pub(super) async fn contracts(stack: &Stack) -> Result<()> {
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = bootstrap::cargo()
        // The features of the whole workspace: nothing but this one package is compiled again.
        .args([
            "test",
            "--workspace",
            "--features",
            "application-manager/store-tests",
            "--lib",
            "on_a_server",
        ])
        .current_dir(workspace)
        .env("IOT_TEST_MONGODB", admin_uri(stack)?)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout);
    let passed = said
        .lines()
        .filter(|line| line.starts_with("test ") && line.ends_with("ok"))
        .count();
    ensure!(
        output.status.success() && passed == 4,
        "{passed} passed\n{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The installation's server, as its admin.
fn admin_uri(stack: &Stack) -> Result<String> {
    let mongodb = &stack.settings().mongodb;
    let Some(account) = &mongodb.account else {
        return Ok(mongodb.uri.clone());
    };
    let (username, secret) = account.of(ADMIN_ACCOUNT);
    let password = stack.settings().secret(&secret)?;
    let server = mongodb.uri.trim_start_matches("mongodb://");
    Ok(format!(
        "mongodb://{username}:{password}@{server}?authSource=admin&authMechanism=SCRAM-SHA-256"
    ))
}

/// Adds one, exactly once: the message id makes a repeat after an unknown outcome harmless.
async fn add(counters: &Entities<Counter>) -> Result<()> {
    let cause = common::MessageId::new();
    wait::until("a write", Duration::from_secs(60), || async {
        let decide = |counter: Option<&Counter>, _: u64| {
            let count = counter.map_or(0, |counter| counter.count) + 1;
            Ok::<_, std::convert::Infallible>(Change::Put {
                entity: Counter { count },
                records: Vec::new(),
            })
        };
        counters.apply("one", Some(cause), decide).await?;
        Ok(Some(()))
    })
    .await
}
